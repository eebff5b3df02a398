package fuse

import (
	"errors"
	"os"
	"slices"
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
	var mounted []int // when the directory beneath was shut and opened
	note := func() {
		mounts, err := readMounts()
		must(t, err)
		mounted = append(mounted, count(mounts, dir))
	}
	fd, err := (&Options{Shut: func() func() { note(); return note }}).replaceInStages(dir)
	must(t, err)
	must(t, syscall.Close(fd))
	must(t, detach(dir, lazily))
	if want := []int{3, 1}; !slices.Equal(mounted, want) {
		t.Errorf("shut and opened with %v mounts, want %v", mounted, want)
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
