package launch

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
25 22 0:23 / /proc rw,nosuid - proc proc rw
60 22 0:50 / /tmp/user/copper-0 ro,nosuid,nodev shared:7 master:3 - fuse.copper copper ro,user_id=0
61 22 0:51 / /tmp/with\040blank\134and\011tab ro - fuse.copper copper ro
62 60 0:52 / /tmp/user/copper-0 rw - tmpfs tmpfs rw
63 22 0:53 / /mnt rw - fuse.sshfs host: rw
`

func TestReadEntries(t *testing.T) {
	got, err := readEntries(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	want := []mountEntry{
		{"/", "ext4", "0"},
		{"/proc", "proc", "23"},
		{"/tmp/user/copper-0", "fuse.copper", "50"},
		{"/tmp/with blank\\and\ttab", "fuse.copper", "51"},
		{"/tmp/user/copper-0", "tmpfs", "52"},
	}
	if !reflect.DeepEqual(got[:5], want) {
		t.Errorf("parsed %q, want %q", got, want)
	}
	for point, fstype := range map[string]string{
		"/":                         "ext4",
		"/tmp/user/copper-0":        "tmpfs", // lies over the other
		"/tmp/with blank\\and\ttab": "fuse.copper",
		"/tmp/user":                 "",
	} {
		if got := uppermost(got, point).fstype; got != fstype {
			t.Errorf("%q: type %q, want %q", point, got, fstype)
		}
	}
}

func TestMountedAt(t *testing.T) {
	for point, want := range map[string]string{"/proc": "proc", t.TempDir(): ""} {
		if got, err := mountedAt(point); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", point, got, err, want)
		}
	}
}

func TestRealMountpoint(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": "real", "absolute": dir + "/link", "loop": "loop", "up": "real/../real"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"real": "real", "link": "real", "absolute": "real", "up": "real", "loop": "loop",
		"missing": "missing", "link/sub": "real/sub", "missing/sub": "missing/sub",
	} {
		if got := realMountpoint(filepath.Join(dir, name)); got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
