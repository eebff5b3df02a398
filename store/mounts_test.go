package store_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestPseudoFileSystems: what shows this machine's state is neither served nor listed.
func TestPseudoFileSystems(t *testing.T) {
	o := newOrigin(t, "/", storetest.Memory(t, store.MinMemory))
	ctx := context.Background()
	for _, p := range []string{"/proc", "/proc/self", "/proc/self/mem", "/sys", "/sys/kernel", "/dev/pts"} {
		_, err := o.Stat(ctx, p, none)
		wantErrno(t, err, syscall.ENOENT)
		_, err = o.List(ctx, p, nil)
		wantErrno(t, err, syscall.ENOENT)
		_, err = o.ReadLink(ctx, p)
		wantErrno(t, err, syscall.ENOENT)
		_, err = o.ReadChunk(ctx, store.File{Path: p, Version: store.Version{Size: 1}}, 0)
		wantErrno(t, err, syscall.ESTALE)
	}
	l, err := o.List(ctx, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"proc", "sys"} {
		if _, there := l.Find(name); there {
			t.Errorf("%q is listed", name)
		}
	}
	for _, name := range []string{"etc", "usr"} {
		if _, there := l.Find(name); !there {
			t.Errorf("%q is not listed", name)
		}
	}
}

// TestMountAppears: a file system that is mounted later is seen to be another one, at once.
func TestMountAppears(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a tmpfs needs root")
	}
	dir := t.TempDir()
	sub := filepath.Join(dir, "with space")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, dir, storetest.Memory(t, store.MinMemory))
	ctx := context.Background()
	root, err := o.Stat(ctx, "/", none)
	wantErrno(t, err, 0)
	before, err := o.Stat(ctx, "/with space", none)
	wantErrno(t, err, 0)
	if before.Dev != root.Dev {
		t.Errorf("one file system, two numbers: %x, %x", before.Dev, root.Dev)
	}
	if err := unix.Mount("none", sub, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(sub, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	after, err := o.Stat(ctx, "/with space", none)
	wantErrno(t, err, 0)
	if after.Dev == root.Dev {
		t.Error("a mounted file system has its parent's number")
	}
	for p, want := range map[string]bool{"/": false, "/other": false, "/with space": true, "/with space/below": true} {
		if o.Local(p) != want {
			t.Errorf("Local(%q) = %v", p, !want)
		}
	}
	if newOrigin(t, sub, storetest.Memory(t, store.MinMemory)).Local("/") {
		t.Error("a target in memory is no node's own: it was chosen to be shared")
	}
	again := newOrigin(t, dir, storetest.Memory(t, store.MinMemory))
	if a, err := again.Stat(ctx, "/with space", none); err != nil || a.Dev != after.Dev {
		t.Errorf("another daemon numbers it %x (%v), want %x", a.Dev, err, after.Dev)
	}
}

// TestOriginFollowsNoLink: a symbolic link inside a path, or put in a file's place, leads nowhere.
func TestOriginFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, dir, storetest.Memory(t, store.MinMemory))
	ctx := context.Background()
	_, err := o.Stat(ctx, "/link/passwd", none)
	wantErrno(t, err, syscall.ESTALE)
	_, err = o.List(ctx, "/link", nil)
	wantErrno(t, err, syscall.ESTALE)
	_, err = o.Stat(ctx, "/../etc/passwd", none)
	if store.Errno(err) != syscall.EXDEV && store.Errno(err) != syscall.ENOENT {
		t.Errorf("a path that leaves the target: %v", err)
	}
	info, err := os.Stat("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	version := store.Version{Ino: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}
	if c, err := o.ReadChunk(ctx, store.File{Path: "/link/passwd", Version: version}, 0); err == nil {
		c.Release()
		t.Error("read a file outside the target")
	}
}
