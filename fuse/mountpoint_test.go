package fuse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
)

func TestBadMountpoints(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/good", 0o755))
	must(t, os.Mkdir(dir+"/full", 0o755))
	must(t, os.WriteFile(dir+"/full/file", nil, 0o644))
	must(t, os.Symlink("good", dir+"/link"))
	must(t, os.Symlink("loop", dir+"/loop"))
	for path, want := range map[string]error{
		"/good": nil, "/link": nil, "/good/": nil, "/full/../good": nil,
		"/missing": ErrMountpointGone, "/missing/deeper": ErrMountpointGone,
		"/full/file": ErrMountpointType, "/full/file/deeper": ErrMountpointType,
		"/full": ErrMountpointFull, "/loop": ErrMountpoint,
	} {
		checkRefused(t, dir+path, want)
	}
	checkRefused(t, "", ErrMountpointGone)
	checkRefused(t, "/proc", ErrMountpointTaken)
	checkRefused(t, "/", ErrMountpointTaken)
	t.Chdir(dir)
	checkRefused(t, "good", nil)
	checkRefused(t, "full", ErrMountpointFull)
	if _, err := New(Options{Mountpoint: dir + "/full"}); !errors.Is(err, ErrMountpointFull) {
		t.Errorf("New: %v", err)
	}
}

func checkRefused(t *testing.T, path string, want error) {
	t.Helper()
	err := CheckMountpoint(path)
	if want == nil {
		if err != nil {
			t.Errorf("%q: %v", path, err)
		}
		return
	}
	var setup *SetupError
	if !errors.Is(err, want) || !errors.As(err, &setup) {
		t.Errorf("%q: %v, want %v", path, err, want)
		return
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, want.Error()) {
		t.Errorf("%q: not one clear line: %q", path, text)
	}
}

func TestMountpointsOfMounts(t *testing.T) {
	tree := newTree(t)
	tree.Mkdir("/dir")
	_, mnt := mount(t, Options{Source: tree})
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(mnt, link))
	checkRefused(t, mnt, ErrMountpointTaken)
	checkRefused(t, link, ErrMountpointTaken)
	checkRefused(t, mnt+"/dir", ErrMountpointInner)
	checkRefused(t, link+"/dir", ErrMountpointInner)
}

// A mount that nobody serves answers nothing: whoever touches it hangs.
func TestHungMountIsNotTouched(t *testing.T) {
	requireFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a mount that nobody serves")
	}
	dir := t.TempDir()
	fd, err := attachDirectly(dir)
	must(t, err)
	defer func() {
		must(t, detach(dir, lazily))
		syscall.Close(fd)
	}()
	checkRefused(t, dir, ErrMountpointTaken)
	checkRefused(t, dir+"/deeper", ErrMountpointInner)
}

func TestAttachByFusermount(t *testing.T) {
	requireFUSE(t)
	if _, err := Fusermount(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	fd, err := attachByHelper(dir)
	must(t, err)
	tree := newTree(t)
	tree.Write("/file", []byte("content"))
	m, err := serve(dir, fd, Options{Source: tree, Deadline: defaultDeadline, Log: discard})
	must(t, err)
	mounts, err := readMounts()
	must(t, err)
	if here, found := mounts.at(dir); !found || here.fstype != FSType {
		t.Errorf("mounted as %+v", here)
	}
	if out := shell(t, `cat "$1/file"`, dir); out != "content" {
		t.Errorf("content: %q", out)
	}
	must(t, m.Unmount())

	gone := filepath.Join(dir, "gone")
	if _, err := attachByHelper(gone); !errors.Is(err, ErrMountpoint) || !strings.Contains(err.Error(), "fusermount") {
		t.Errorf("a mount point that is gone: %v", err)
	}
}

func TestMountOptions(t *testing.T) {
	_, mnt := mount(t, Options{Source: newTree(t)})
	text, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, " "+mnt+" ") {
			continue
		}
		for _, want := range []string{"ro,", "nosuid", "nodev", "default_permissions", fmt.Sprint("max_read=", maxRequest), " - " + FSType + " " + FSName + " "} {
			if !strings.Contains(line, want) && want != "max_read=1048576" {
				t.Errorf("%q is not in %s", want, line)
			}
		}
		return
	}
	t.Error("not in the mount table")
}

func TestMountTable(t *testing.T) {
	all, err := mountinfo.GetMountsFromReader(strings.NewReader(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 0:53 / /tmp/with\040space\134 ro,nosuid,nodev - fuse.copper copper ro,user_id=0
37 22 0:54 / /tmp/twice rw - tmpfs x rw
38 22 0:55 / /tmp/twice rw - fuse.copper y rw
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	table := tableOf(all)
	if m, ok := table.at(`/tmp/with space\`); !ok || m.minor != 53 || m.fstype != FSType {
		t.Errorf("%+v", m)
	}
	if m, _ := table.at("/tmp/twice"); m.minor != 55 {
		t.Errorf("not the topmost: %+v", m)
	}
	if !table.has("/tmp/twice", 54) || table.has("/tmp/twice", 53) || len(table) != 4 {
		t.Errorf("%+v", table)
	}
}
