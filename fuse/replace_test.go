package fuse

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReplace: whoever looks at the mount point while a dead mount is replaced meets errors of the
// dead one, then answers of the new one, and never the directory beneath.
func TestReplace(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("content"))
	m, mnt := mount(t, Options{Source: tree})
	cmd := helperCommand("probe", mnt, "file")
	in, out := talk(t, cmd)
	if line := out(); line != "ready" {
		t.Fatal(line)
	}
	for range 5 {
		die(t, m)
		var err error
		m, err = New(Options{Mountpoint: mnt, Replace: true, Source: tree})
		must(t, err)
		if got := runHelper(t, "stat", mnt+"/file", mnt+"/none"); got != "ok\nENOENT\n" {
			t.Fatalf("a new mount: %s", got)
		}
	}
	in("over")
	met := out()
	must(t, cmd.Wait())
	t.Log(met)
	if mounts, err := readMounts(); err != nil || count(mounts, mnt) != 1 {
		t.Errorf("%d mounts lie at %s (%v), want 1", count(mounts, mnt), mnt, err)
	}
	must(t, m.Unmount())
	if os.Geteuid() != 0 {
		return // fusermount3 leaves a gap
	}
	if strings.Contains(met, "ENOENT") || strings.Contains(met, "list: :") {
		t.Error("the directory beneath was seen")
	}
}

// die makes m a mount that nobody serves, as the end of its process does.
func die(t *testing.T, m *Mount) {
	t.Helper()
	if m.abort() != nil { // there is no /sys/fs/fuse/connections, or no right to it
		held, err := unix.Open(m.dir, unix.O_PATH, 0) // so that it can be aborted, and not unmounted
		must(t, err)
		defer unix.Close(held)
		if err := unix.Unmount(m.dir, unix.MNT_FORCE); errors.Is(err, unix.EPERM) {
			t.Skip(err)
		}
	}
	m.Wait()
}

func count(mounts mountTable, path string) (n int) {
	for _, m := range mounts {
		if m.path == path {
			n++
		}
	}
	return n
}

// TestReplaceInStages: where the new mount can't come beneath the dead ones, all of them go first.
func TestReplaceInStages(t *testing.T) {
	requireFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can stack mounts")
	}
	dir := t.TempDir()
	for range 3 {
		fd, err := attach(dir)
		must(t, err)
		must(t, syscall.Close(fd))
	}
	m, err := New(Options{Mountpoint: dir, Replace: true, Source: newTree(t)})
	must(t, err)
	must(t, detachAll(m, dir))
}

// detachAll unmounts m and the dead mounts beneath it.
func detachAll(m *Mount, dir string) error {
	err := m.Unmount()
	for {
		mounts, failed := readMounts()
		if _, mounted := mounts.at(dir); !mounted || failed != nil {
			return errors.Join(err, failed)
		}
		if failed := detach(dir, lazily); failed != nil {
			return fmt.Errorf("%w, %w", err, failed)
		}
	}
}

// TestReplaceNothingElse: another file system at the mount point stays.
func TestReplaceNothingElse(t *testing.T) {
	requireFUSE(t)
	if _, err := New(Options{Mountpoint: "/proc", Replace: true, Source: newTree(t)}); !errors.Is(err, ErrMountpointTaken) {
		t.Errorf("New: %v", err)
	}
	m, err := New(Options{Mountpoint: t.TempDir(), Replace: true, Source: newTree(t)}) // somebody took the dead one away
	must(t, err)
	must(t, m.Unmount())
}
