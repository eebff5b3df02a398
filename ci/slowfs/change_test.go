package slowfs

import (
	"os"
	"slices"
	"testing"
)

func changed(t *testing.T, s *Server, path string) {
	t.Helper()
	if err := s.Changed(path); err != nil {
		t.Fatal(err)
	}
}

func TestChangedFile(t *testing.T) {
	s := start(t, 2, Options{}, fillLibrary(t))
	var open []*os.File
	for i := range s.options.Mounts {
		read(t, s.on(i, "lib/a.py"))
		file, err := os.Open(s.on(i, "lib/a.py"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		open = append(open, file)
	}
	write(t, s.backing("lib/a.py"), "longer than before")
	for i := range s.options.Mounts {
		if st := stat(t, s.on(i, "lib/a.py")); st.Size != 5 {
			t.Errorf("mount %d: size %d without a revocation, want the cached 5", i, st.Size)
		}
	}
	changed(t, s, "/lib/a.py")
	for i, file := range open {
		if got := read(t, s.on(i, "lib/a.py")); got != "longer than before" {
			t.Errorf("mount %d reads %q", i, got)
		}
		content := make([]byte, 64)
		if n, _ := file.ReadAt(content, 0); string(content[:n]) != "longer than before" {
			t.Errorf("mount %d: an open file reads %q", i, content[:n])
		}
	}
}

func TestChangedNames(t *testing.T) {
	s := start(t, 2, Options{NegativeLifetime: DefaultCacheLifetime}, fillLibrary(t))
	for i := range s.options.Mounts {
		names(t, s.on(i, "lib"))
		if _, err := os.Lstat(s.on(i, "lib/new")); !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	write(t, s.backing("lib/new"), "new")
	if err := os.Remove(s.backing("lib/link")); err != nil {
		t.Fatal(err)
	}
	changed(t, s, "/lib/new")
	changed(t, s, "/lib/link")
	for i := range s.options.Mounts {
		if got := read(t, s.on(i, "lib/new")); got != "new" {
			t.Errorf("mount %d reads %q", i, got)
		}
		if _, err := os.Lstat(s.on(i, "lib/link")); !os.IsNotExist(err) {
			t.Errorf("mount %d: removed name: %v", i, err)
		}
		if got, want := names(t, s.on(i, "lib")), []string{"a.py", "new"}; !slices.Equal(got, want) {
			t.Errorf("mount %d lists %q, want %q", i, got, want)
		}
	}
}

func TestChangedTree(t *testing.T) {
	s := start(t, 1, Options{}, fillLibrary(t))
	read(t, s.on(0, "lib/link"))
	write(t, s.backing("lib/a.py"), "HELLO")
	for _, path := range []string{"/lib", "/"} {
		changed(t, s, path)
		s.Reset()
		if got := read(t, s.on(0, "lib/link")); got != "HELLO" {
			t.Errorf("after a change of %q: %q", path, got)
		}
		if n := s.Counts().Bytes; n != 5 {
			t.Errorf("after a change of %q: %d bytes read anew, want 5", path, n)
		}
	}
	for _, path := range []string{"lib", "/lib/", ""} {
		if err := s.Changed(path); err == nil {
			t.Errorf("path %q: accepted", path)
		}
	}
}

func TestWithoutCache(t *testing.T) {
	s := start(t, 1, Options{CacheLifetime: -1}, fillLibrary(t))
	read(t, s.on(0, "lib/a.py"))
	names(t, s.on(0, "lib"))
	write(t, s.backing("lib/a.py"), "another content")
	write(t, s.backing("lib/b.py"), "")
	if got := read(t, s.on(0, "lib/a.py")); got != "another content" {
		t.Errorf("got %q", got)
	}
	if got, want := names(t, s.on(0, "lib")), []string{"a.py", "b.py", "link"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestChangedDuringAStall: a kernel that cannot comply holds up the caller only until Close.
func TestChangedDuringAStall(t *testing.T) {
	s := start(t, 1, Options{}, fillLibrary(t))
	setFault(t, s, Fault{Prefix: "/lib/a.py", Op: OpLookup, Stall: true})
	looked := make(chan error, 1)
	go func() {
		_, err := os.Lstat(s.on(0, "lib/a.py"))
		looked <- err
	}()
	await(t, "stall", func() bool { return s.Counts().Stalled == 1 })
	revoked := make(chan error, 1)
	go func() { revoked <- s.Changed("/lib/a.py") }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-revoked
	if err := <-looked; err == nil || os.IsNotExist(err) {
		t.Errorf("the stalled lookup ended with %v", err)
	}
}
