package oracle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

// Compare looks at everything below behind, in the mount as well, and returns what differs, one
// line each; and the number of names that it compared.
func Compare(mount, behind string) (differences []string, compared int, err error) {
	c := comparison{mount: mount, behind: behind}
	err = filepath.WalkDir(behind, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(behind, path)
		if err != nil {
			return err
		}
		c.compared++
		return c.one(rel)
	})
	return c.differences, c.compared, err
}

type comparison struct {
	mount, behind string
	differences   []string
	compared      int
}

func (c *comparison) differ(format string, args ...any) {
	c.differences = append(c.differences, fmt.Sprintf(format, args...))
}

// one compares one name. Its error is a failure to look behind the mount.
func (c *comparison) one(rel string) error {
	in, behind := filepath.Join(c.mount, rel), filepath.Join(c.behind, rel)
	var got, want syscall.Stat_t
	if err := syscall.Lstat(behind, &want); err != nil {
		return err
	}
	if err := syscall.Lstat(in, &got); err != nil {
		c.differ("%q: lstat: %v", rel, err)
		return nil
	}
	// What is each mount's own: device number, preferred I/O size; what looking changes: atime.
	got.Dev, got.Blksize, got.Atim = want.Dev, want.Blksize, want.Atim
	if rel == "." {
		got.Ino = want.Ino // the kernel's own number for a mount's root
	}
	if got != want {
		c.differ("%q: lstat: %+v, behind the mount %+v", rel, got, want)
	}
	switch want.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		c.directory(rel, in, behind)
	case syscall.S_IFLNK:
		c.link(rel, in, behind)
	case syscall.S_IFREG:
		return c.content(rel, in, behind)
	}
	return nil
}

func (c *comparison) directory(rel, in, behind string) {
	got, err := os.ReadDir(in)
	want, err2 := os.ReadDir(behind)
	if err != nil || err2 != nil || len(got) != len(want) {
		c.differ("%q: readdir: %d names (%v), behind the mount %d (%v)", rel, len(got), err, len(want), err2)
		return
	}
	for i := range got {
		if got[i].Name() != want[i].Name() || got[i].Type() != want[i].Type() {
			c.differ("%q: readdir: %v, behind the mount %v", rel, got[i], want[i])
		}
	}
	c.miss(rel, filepath.Join(in, "no such name"), filepath.Join(behind, "no such name"))
}

func (c *comparison) link(rel, in, behind string) {
	got, err := os.Readlink(in)
	want, err2 := os.Readlink(behind)
	if got != want || err != nil || err2 != nil {
		c.differ("%q: readlink: %q (%v), behind the mount %q (%v)", rel, got, err, want, err2)
	}
}

func (c *comparison) content(rel, in, behind string) error {
	want, err := os.ReadFile(behind)
	if err != nil {
		return err
	}
	f, err := os.Open(in)
	if err != nil {
		c.differ("%q: open: %v", rel, err)
		return nil
	}
	defer f.Close()
	got, err := os.ReadFile(in)
	if err != nil || !bytes.Equal(got, want) {
		c.differ("%q: read: %d bytes (%v), behind the mount %d", rel, len(got), err, len(want))
	}
	// Backwards in odd portions, past the end as well.
	for off := int64(len(want)); ; off = max(off-77_777, 0) {
		buf := make([]byte, 5000)
		n, err := syscall.Pread(int(f.Fd()), buf, off)
		if err != nil || !bytes.Equal(buf[:n], want[off:min(off+5000, int64(len(want)))]) {
			c.differ("%q: pread at %d: %d bytes (%v)", rel, off, n, err)
			break
		}
		if off == 0 {
			break
		}
	}
	if len(want) > 0 {
		if err := sameMapped(f, want); err != nil {
			c.differ("%q: mmap differs (%v)", rel, err)
		}
	}
	c.miss(rel, filepath.Join(in, "below"), filepath.Join(behind, "below"))
	return nil
}

// sameMapped compares what a mapping of the file shows. A mapping of a file that is shorter than it
// should be, or can't be read, is a fault, which must not end the program.
func sameMapped(f *os.File, want []byte) (err error) {
	mapped, err := syscall.Mmap(int(f.Fd()), 0, len(want), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Munmap(mapped) }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if !bytes.Equal(mapped, want) {
		return errors.New("other bytes")
	}
	return nil
}

// miss compares the errno of a name that is not there.
func (c *comparison) miss(rel, in, behind string) {
	_, got := os.Lstat(in)
	_, want := os.Lstat(behind)
	var a, b syscall.Errno
	if !errors.As(got, &a) || !errors.As(want, &b) || a != b {
		c.differ("%q: a missing name: %v, behind the mount %v", rel, got, want)
	}
}
