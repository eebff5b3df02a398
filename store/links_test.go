package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func TestLinkInView(t *testing.T) {
	base := t.TempDir()
	dir, alias := filepath.Join(base, "dir"), filepath.Join(base, "alias")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, alias); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, alias, storetest.Memory(t, store.MinMemory))
	for target, want := range map[string]string{
		dir:                        "/",
		dir + "/":                  "/",
		dir + "/a/b":               "/a/b",
		alias + "/a/b":             "/a/b",
		dir + "/a/../b/":           "/a/../b/",
		dir + "//a/./b":            "//a/./b",
		dir + "/../other":          "",
		dir + "/a/../../dir/b":     "",
		dir + "ectory":             "",
		base:                       "",
		"/":                        "",
		"/usr/bin/python3":         "",
		"a/b":                      "",
		dir[:len(dir)-1] + "R/a/b": "",
	} {
		got, ok := o.LinkInView("/x/link", target)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q (%v), want %q", target, got, ok, want)
		}
	}

	whole := newOrigin(t, "/", storetest.Memory(t, store.MinMemory))
	for target, want := range map[string]string{
		"/": "/", "/usr/bin/python3": "/usr/bin/python3", "/../usr": "", "/proc/self/exe": "", "/sys": "", "usr": "",
	} {
		got, ok := whole.LinkInView("/usr/link", target)
		if ok != (want != "") || ok && got != want {
			t.Errorf("view of /: %q: %q (%v), want %q", target, got, ok, want)
		}
	}
	if c := whole.Counts(); c != (store.OriginCounts{}) {
		t.Errorf("the file system was asked: %+v", c)
	}
}

// TestLinkToAnotherFileSystem: only a link's own file system counts, as it is mounted now.
func TestLinkToAnotherFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a tmpfs needs root")
	}
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	o := newOrigin(t, dir, storetest.Memory(t, store.MinMemory))
	check := func(link, target string, want bool) {
		t.Helper()
		if _, ok := o.LinkInView(link, target); ok != want {
			t.Errorf("%s -> %s: %v, want %v", link, target, ok, want)
		}
	}
	check("/link", sub+"/file", true)
	if err := unix.Mount("none", sub, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(sub, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	check("/link", sub+"/file", false)
	check("/link", dir+"/sub/../file", true)
	check("/sub/link", sub+"/file", true)
	check("/sub/link", dir+"/file", false)
}
