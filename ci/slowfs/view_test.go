package slowfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func stat(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if errno := lstat(path, &st); errno != 0 {
		t.Fatalf("lstat %q: %v", path, errno)
	}
	return st
}

func TestShowsTheBackingDirectory(t *testing.T) {
	big := make([]byte, 3<<20+17)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(big)
	s := start(t, 2, Options{}, func(backing string) {
		mkdir(t, backing+"/lib")
		write(t, backing+"/lib/big.so", string(big))
		write(t, backing+"/lib/empty", "")
		write(t, backing+"/lib/\xff name\n", "odd")
		for target, name := range map[string]string{"big.so": "link", "/absolute/target": "absolute", "gone": "dangling"} {
			if err := os.Symlink(target, filepath.Join(backing, "lib", name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Mkfifo(backing+"/lib/fifo", 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(backing+"/lib/big.so", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(backing+"/lib/big.so", time.Unix(3, 4), time.Unix(1234567890, 123456789)); err != nil {
			t.Fatal(err)
		}
	})
	for i := range s.options.Mounts {
		want, got := names(t, s.backing("lib")), names(t, s.on(i, "lib"))
		if !slices.Equal(got, want) {
			t.Errorf("mount %d lists %q, want %q", i, got, want)
		}
		for _, name := range append(want, "..", ".") {
			path := filepath.Join("lib", name)
			behind, shown := stat(t, s.backing(path)), stat(t, s.on(i, path))
			if shown.Dev == behind.Dev {
				t.Errorf("%q: has the backing device number", path)
			}
			shown.Dev, shown.Atim, behind.Atim = behind.Dev, syscall.Timespec{}, syscall.Timespec{}
			if shown != behind {
				t.Errorf("mount %d: %q: got %+v, want %+v", i, path, shown, behind)
			}
		}
		for _, name := range []string{"lib/link", "lib/absolute", "lib/dangling"} {
			want, _ := os.Readlink(s.backing(name))
			if got, err := os.Readlink(s.on(i, name)); err != nil || got != want {
				t.Errorf("readlink %q: got %q, %v; want %q", name, got, err, want)
			}
		}
		for _, name := range []string{"lib/big.so", "lib/link", "lib/empty", "lib/\xff name\n"} {
			if got, want := read(t, s.on(i, name)), read(t, s.backing(name)); got != want {
				t.Errorf("mount %d: content of %q differs: %d bytes, want %d", i, name, len(got), len(want))
			}
		}
	}
	if a, b := stat(t, s.on(0, "lib")), stat(t, s.on(1, "lib")); a.Dev == b.Dev {
		t.Error("two mounts have one device number")
	}

	file, err := os.Open(s.on(0, "lib/big.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	part := make([]byte, 5000)
	if _, err := file.ReadAt(part, 1<<20-100); err != nil || !bytes.Equal(part, big[1<<20-100:][:5000]) {
		t.Errorf("pread across a boundary: wrong bytes or %v", err)
	}
}

func TestDirectoryLargerThanOneReply(t *testing.T) {
	const files = 5000
	var want []string
	s := start(t, 1, Options{}, func(backing string) {
		for i := range files {
			name := fmt.Sprintf("a-rather-long-name-of-a-python-module-%05d.py", i)
			write(t, filepath.Join(backing, name), "")
			want = append(want, name)
		}
	})
	if got := names(t, s.on(0, "")); !slices.Equal(got, want) {
		t.Errorf("got %d names, want %d", len(got), len(want))
	}
	counts := s.Counts()
	if counts.Listings != 1 || counts.Op(OpReadDir) < 3 || counts.Op(OpLookup) != 0 {
		t.Errorf("want one listing in several requests and no lookup: %+v", counts.Tally)
	}
}

func TestStatFS(t *testing.T) {
	s := start(t, 1, Options{}, nil)
	var want, got syscall.Statfs_t
	if err := syscall.Statfs(s.backing(""), &want); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Statfs(s.on(0, ""), &got); err != nil {
		t.Fatal(err)
	}
	if got.Blocks != want.Blocks || got.Bsize != want.Bsize || got.Files != want.Files || got.Namelen != want.Namelen {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := s.Counts().Operations[OpStatFS].Directory; n != 1 {
		t.Errorf("statfs counted %d times, want 1", n)
	}
}

func TestErrnos(t *testing.T) {
	s := start(t, 1, Options{}, func(backing string) {
		write(t, backing+"/file", "x")
		mkdir(t, backing+"/dir")
		if err := os.Symlink("loop", backing+"/loop"); err != nil {
			t.Fatal(err)
		}
	})
	file := s.on(0, "file")
	for name, test := range map[string]struct {
		do   func() error
		want syscall.Errno
	}{
		"missing":           {func() error { _, err := os.Lstat(s.on(0, "no")); return err }, syscall.ENOENT},
		"missing directory": {func() error { _, err := os.Lstat(s.on(0, "no/no")); return err }, syscall.ENOENT},
		"below a file":      {func() error { _, err := os.Lstat(s.on(0, "file/no")); return err }, syscall.ENOTDIR},
		"list a file":       {func() error { _, err := syscall.Open(file, syscall.O_DIRECTORY, 0); return err }, syscall.ENOTDIR},
		"rmdir":             {func() error { return syscall.Rmdir(s.on(0, "dir")) }, syscall.EROFS},
		"name too long":     {func() error { _, err := os.Lstat(s.on(0, strings.Repeat("n", 300))); return err }, syscall.ENAMETOOLONG},
		"link loop":         {func() error { _, err := os.Stat(s.on(0, "loop")); return err }, syscall.ELOOP},
		"readlink of file":  {func() error { _, err := os.Readlink(file); return err }, syscall.EINVAL},
		"create":            {func() error { return os.WriteFile(s.on(0, "new"), nil, 0o644) }, syscall.EROFS},
		"write":             {func() error { return os.WriteFile(file, nil, 0o644) }, syscall.EROFS},
		"mkdir":             {func() error { return os.Mkdir(s.on(0, "new"), 0o755) }, syscall.EROFS},
		"unlink":            {func() error { return syscall.Unlink(file) }, syscall.EROFS},
		"rename":            {func() error { return os.Rename(file, s.on(0, "new")) }, syscall.EROFS},
		"symlink":           {func() error { return os.Symlink("x", s.on(0, "new")) }, syscall.EROFS},
		"chmod":             {func() error { return os.Chmod(file, 0o600) }, syscall.EROFS},
		"truncate":          {func() error { return os.Truncate(file, 0) }, syscall.EROFS},
		"utimens":           {func() error { return os.Chtimes(file, time.Now(), time.Now()) }, syscall.EROFS},
		"setxattr":          {func() error { return syscall.Setxattr(file, "user.a", []byte("b"), 0) }, syscall.EROFS},
	} {
		if err := test.do(); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if read(t, s.backing("file")) != "x" {
		t.Error("the backing file was changed")
	}
}

// TestReplacedFile: whoever has the old file open reads the old file to its end; whoever opens
// the name gets the new one, and never a mixture.
func TestReplacedFile(t *testing.T) {
	s := start(t, 1, Options{}, func(backing string) { write(t, backing+"/file", "old") })
	old, err := os.Open(s.on(0, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	write(t, s.backing("new"), "newer")
	if err := os.Rename(s.backing("new"), s.backing("file")); err != nil {
		t.Fatal(err)
	}

	// Open answers ESTALE for the old inode, and the kernel looks the name up again.
	if got := read(t, s.on(0, "file")); got != "newer" {
		t.Errorf("the name leads to %q, want the new file", got)
	}
	if n := s.Counts().Operations[OpOpen].Failed; n != 1 {
		t.Errorf("%d opens answered with ESTALE, want 1", n)
	}
	content := make([]byte, 16)
	if n, _ := old.Read(content); string(content[:n]) != "old" {
		t.Errorf("the open file reads %q, want the old content", content[:n])
	}
}

func TestRemovedFileIsGone(t *testing.T) {
	s := start(t, 1, Options{}, func(backing string) { write(t, backing+"/file", "old") })
	stat(t, s.on(0, "file"))
	if err := os.Remove(s.backing("file")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(s.on(0, "file")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
}
