package fuse

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func TestSymlinksAreCached(t *testing.T) {
	tree := newTree(t)
	tree.Link("/link", "some/where")
	m, mnt := mount(t, Options{Source: tree})
	got := warmRequests(m, func() {
		if out := shell(t, `readlink "$1/link"`, mnt); out != "some/where\n" {
			t.Errorf("readlink: %q", out)
		}
	})
	if len(got) != 0 || m.Stats().Requests["READLINK"] == 0 {
		t.Errorf("the second time the kernel asked %v", got)
	}
	tree.Link("/link", "else/where")
	m.Changed("/link")
	flush(t, m)
	if out := shell(t, `readlink "$1/link"`, mnt); out != "else/where\n" {
		t.Errorf("changed link: %q", out)
	}
}

func TestHugeDirectory(t *testing.T) {
	const entries = 100_000
	tree := newTree(t)
	for i := range entries {
		tree.Write(fmt.Sprintf("/huge/a-file-with-a-name-%06d", i), nil)
	}
	m, mnt := mount(t, Options{Source: tree})
	want := fmt.Sprint(entries + 2)
	if out := runHelper(t, "names", mnt+"/huge"); !strings.HasPrefix(out, want+" ") {
		t.Errorf("got %.40s, want %s names", out, want)
	}
	if n := tree.Count("readdir", "/huge"); n != 1 {
		t.Errorf("the Source was asked %d times", n)
	}
	got := warmRequests(m, func() {
		if out := shell(t, `ls -f "$1/huge" | wc -l`, mnt); strings.TrimSpace(out) != want {
			t.Errorf("second time: %s names, want %s", out, want)
		}
	})
	if len(got) != 0 {
		t.Errorf("the second time the kernel asked %v", got)
	}
}

func TestDirectoryStreamsDoNotMix(t *testing.T) {
	tree := newTree(t)
	const entries = 20_000
	for i := range entries {
		tree.Write(fmt.Sprintf("/dir/old-file-with-a-long-name-%06d", i), nil)
	}
	m, mnt := mount(t, Options{Source: tree})
	cmd := helperCommand("names", mnt+"/dir", "pause")
	in, out := talk(t, cmd)
	if line := out(); !strings.HasPrefix(line, "paused") {
		t.Fatal(line)
	}
	for i := range 1000 {
		tree.Remove(fmt.Sprintf("/dir/old-file-with-a-long-name-%06d", i*2))
		tree.Write(fmt.Sprintf("/dir/new-file-%06d", i), nil)
	}
	m.Changed("/dir")
	flush(t, m)
	if got := runHelper(t, "names", mnt+"/dir"); !strings.HasPrefix(got, fmt.Sprint(entries+2, " ")) {
		t.Errorf("a new stream: %.60s", got)
	}
	in("go on")
	// The stream of before the change sees what was there when it began: its names once each.
	if got := out(); !strings.HasPrefix(got, fmt.Sprint(entries+2, " ")) {
		t.Errorf("the old stream: %.60s, want %d names", got, entries+2)
	}
	must(t, cmd.Wait())
}

func TestAbsenceIsRemembered(t *testing.T) {
	tree := newTree(t)
	tree.Mkdir("/dir")
	m, mnt := mount(t, Options{Source: tree})
	probe := func(want, path string, lookups uint64) {
		t.Helper()
		got := newRequests(m, func() {
			if out := runHelper(t, "stat", mnt+path, mnt+path); out != want+"\n"+want+"\n" {
				t.Errorf("%s: %q, want %s twice", path, out, want)
			}
		})
		if got["LOOKUP"] != lookups {
			t.Errorf("%s: %v, want %d LOOKUP", path, got, lookups)
		}
	}
	runHelper(t, "stat", mnt+"/dir")
	probe("ENOENT", "/dir/absent", 1)
	probe("ENOENT", "/dir/absent", 0)
	probe("ENOENT", "/absent", 1)

	tree.Write("/dir/absent", []byte("here"))
	tree.Write("/absent", []byte("here"))
	m.Changed("/dir/absent")
	m.Changed("/absent")
	flush(t, m)
	probe("ok", "/dir/absent", 1)
	probe("ok", "/absent", 1)

	probe("ENOENT", "/later", 1)
	probe("ENOENT", "/dir/later", 1)
	tree.Write("/later", nil)
	tree.Write("/dir/later", nil)
	m.ChangedAll()
	flush(t, m)
	probe("ok", "/later", 1)
	probe("ok", "/dir/later", 2) // and one of the directory
}

func TestExpiredAbsenceIsNotRemembered(t *testing.T) {
	tree := newTree(t)
	tree.Lifetime = 0
	m, mnt := mount(t, Options{Source: tree})
	got := newRequests(m, func() {
		if out := runHelper(t, "stat", mnt+"/absent", mnt+"/absent"); out != "ENOENT\nENOENT\n" {
			t.Errorf("got %q", out)
		}
	})
	if got["LOOKUP"] != 2 {
		t.Errorf("%v, want 2 LOOKUP", got)
	}
}

func TestSecondProcessAsksNothing(t *testing.T) {
	tree := newTree(t)
	tree.Write("/lib/module.py", bytes.Repeat([]byte("x"), 3<<20))
	tree.Write("/lib/empty", nil)
	tree.Link("/lib/link", "module.py")
	m, mnt := mount(t, Options{Source: tree})
	use := func() {
		shell(t, `cat "$1/lib/module.py" "$1/lib/link" "$1/lib/empty" | cksum; ls -lR "$1"; find "$1" -name none; test ! -e "$1/lib/missing"`, mnt)
		if out := runHelper(t, "odd", mnt+"/lib/module.py"); strings.Count(out, "isatty: ENOTTY") != 2 {
			t.Errorf("isatty: %s", out)
		}
	}
	got := warmRequests(m, use)
	if got["IOCTL"] == 0 {
		t.Error("isatty sent no IOCTL: the test shows nothing")
	}
	delete(got, "IOCTL")
	if len(got) != 0 {
		t.Errorf("the second process asked %v", got)
	}
}

func TestLeftToTheKernel(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("12345"))
	_, mnt := mount(t, Options{Source: tree})
	out := runHelper(t, "odd", mnt+"/file")
	for _, want := range []string{
		"isatty: ENOTTY", "getxattr: EOPNOTSUPP", "listxattr: EOPNOTSUPP", "seek hole 5: ok", "fsync: ok", "access: ok",
		"flock: ok", "fcntl: ok", "statx: ok", "open: ok", "close: ok",
	} {
		if strings.Count(out, want+"\n") != 2 {
			t.Errorf("want twice %q in\n%s", want, out)
		}
	}
}

func TestNewVersion(t *testing.T) {
	for _, announced := range []bool{false, true} {
		t.Run(fmt.Sprint("announced=", announced), func(t *testing.T) {
			tree := newTree(t)
			tree.Write("/dir/file", bytes.Repeat([]byte("old"), 2<<20))
			m, mnt := mount(t, Options{Source: tree})
			cmd := helperCommand("stale", mnt+"/dir/file")
			in, out := talk(t, cmd)
			if line := out(); line != "opened" {
				t.Fatal(line)
			}
			tree.Write("/dir/file", bytes.Repeat([]byte("new"), 1<<20))
			if announced {
				m.Changed("/dir/file")
				flush(t, m)
				if out := shell(t, `head -c 3 "$1"`, mnt+"/dir/file"); out != "new" {
					t.Errorf("another process reads %q", out)
				}
			}
			in("go on")
			if line := out(); line != "old: ESTALE" {
				t.Errorf("the open file: %s", line)
			}
			if line := out(); line != fmt.Sprintf("new: %d %q", 3<<20, "new") {
				t.Errorf("opened again: %s", line)
			}
			must(t, cmd.Wait())
		})
	}
}

func TestVersionsNeverMix(t *testing.T) {
	tree := newTree(t)
	write := func(i int) {
		tree.Write("/dir/file", bytes.Repeat([]byte{byte('a' + i%26)}, store.ChunkSize+i*1000))
	}
	write(0)
	m, mnt := mount(t, Options{Source: tree})
	var readers []*exec.Cmd
	var outs []*bytes.Buffer
	for range 3 {
		cmd, out := helperCommand("unmixed", mnt+"/dir/file"), new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		readers, outs = append(readers, cmd), append(outs, out)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i, r := range readers {
			if err := r.Wait(); err != nil {
				t.Errorf("%v: %s", err, outs[i])
			}
		}
	}()
	for i := 1; ; i++ {
		select {
		case <-done:
			return
		case <-time.After(3 * time.Millisecond):
		}
		write(i % 500)
		switch i % 3 {
		case 0:
			m.Changed("/dir/file")
		case 1:
			m.ChangedAll()
		}
	}
}

// unsure gives listings that may lack names.
type unsure struct{ *storetest.Tree }

func (s unsure) List(ctx context.Context, dir string, known *store.Listing) (*store.Listing, error) {
	l, err := s.Tree.List(ctx, dir, known)
	if l != nil {
		l.Complete = false
	}
	return l, err
}

func TestIncompleteListingIsAskedForAgain(t *testing.T) {
	tree := newTree(t)
	tree.Write("/dir/a", nil)
	m, mnt := mount(t, Options{Source: unsure{tree}})
	for range 2 {
		got := newRequests(m, func() {
			if out := shell(t, `ls "$1/dir"`, mnt); out != "a\n" {
				t.Errorf("listing: %q", out)
			}
		})
		if got["READDIR"] == 0 {
			t.Error("the kernel kept an incomplete listing")
		}
		flush(t, m)
	}
}
