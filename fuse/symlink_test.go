package fuse

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// belowPFS keeps links below /pfs in the view.
func belowPFS(_, target string) (string, bool) {
	return target, strings.HasPrefix(target, "/pfs/")
}

func TestAbsoluteLinksStayInTheView(t *testing.T) {
	tree := newTree(t)
	tree.Write("/pfs/env/bin/python3.11", []byte("here"))
	tree.Link("/pfs/env/bin/python", "/pfs/env/bin/python3.11")
	tree.Link("/pfs/env/bin/python3", "python")
	tree.Link("/pfs/env/lib64", "/pfs/env/bin")
	tree.Link("/pfs/away", "/etc/hostname")
	tree.Link("/pfs/long", "/pfs/"+strings.Repeat("long/", 817))
	_, mnt := mount(t, Options{Source: tree, Links: belowPFS})
	for path, want := range map[string]string{
		"/pfs/env/bin/python":  mnt + "/pfs/env/bin/python3.11",
		"/pfs/env/bin/python3": "python",
		"/pfs/env/lib64":       mnt + "/pfs/env/bin",
		"/pfs/away":            "/etc/hostname",
		"/pfs/long":            "/pfs/" + strings.Repeat("long/", 817), // the mount's name no more fits
	} {
		got := shell(t, `stat -c %s "$1"; readlink "$1"`, mnt+path)
		if got != fmt.Sprintf("%d\n%s\n", len(want), want) {
			t.Errorf("%s: size and target %.100q, want %d and %.100q", path, got, len(want), want)
		}
	}
	if got := shell(t, `realpath "$1/pfs/env/lib64/python3"; cat "$1/pfs/env/lib64/python3"`, mnt); got != mnt+"/pfs/env/bin/python3.11\nhere" {
		t.Errorf("through the links: %q", got)
	}
	if got := shell(t, `realpath "$1/pfs/away"`, mnt); got != "/etc/hostname\n" {
		t.Errorf("a link to elsewhere: %q", got)
	}
}

// TestLinkIsReadWithItsLookup: what lstat says of a link and what readlink says of it belong
// together, in the kernel's memory too, and cost one question.
func TestLinkIsReadWithItsLookup(t *testing.T) {
	tree := newTree(t)
	tree.Link("/link", "/pfs/a")
	m, mnt := mount(t, Options{Source: tree, Links: belowPFS})
	check := func(want string) {
		t.Helper()
		for range 2 {
			if got := shell(t, `stat -c %s "$1/link"; readlink "$1/link"; ls -l "$1" | grep -c "link -> $2"'$'`, mnt, want); got != fmt.Sprintf("%d\n%s\n1\n", len(want), want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	check(mnt + "/pfs/a")
	if n := tree.Count("readlink", "/link"); n != 1 {
		t.Errorf("the link was read %d times", n)
	}
	tree.Link("/link", "elsewhere")
	m.Changed("/link")
	flush(t, m)
	check("elsewhere")

	tree.Fail("readlink", "/link", syscall.EIO)
	m.Changed("/link")
	flush(t, m)
	if got := runHelper(t, "stat", mnt+"/link"); got != "EIO\n" {
		t.Errorf("a link that can't be read: %q", got)
	}
	tree.Fail("readlink", "/link", 0)
	check("elsewhere")
}

// remembers tells what was there once, unless it is told that that is gone.
type remembers struct {
	*storetest.Tree
	path string
	attr store.Attr
}

func (r *remembers) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	if path == r.path && stale != r.attr.Version() {
		return r.attr, nil
	}
	return r.Tree.Stat(ctx, path, stale)
}

// TestLinkIsGone: what is remembered as a link, and is none any more, is looked at again.
func TestLinkIsGone(t *testing.T) {
	const path = "/dir/link"
	for want, change := range map[string]func(*storetest.Tree){
		"absent":         func(tree *storetest.Tree) { tree.Remove(path) },
		"regular file 5": func(tree *storetest.Tree) { tree.Write(path, []byte("12345")) },
	} {
		tree := newTree(t)
		tree.Link(path, "/pfs/a")
		attr, err := tree.Stat(t.Context(), path, store.Version{})
		must(t, err)
		_, mnt := mount(t, Options{Source: &remembers{tree, path, attr}, Links: belowPFS})
		change(tree)
		if got := shell(t, `stat -c '%F %s' "$1" 2>/dev/null || { test ! -e "$1"; echo absent; }`, mnt+path); got != want+"\n" {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLinkIsDecidedAgain: a link that is to be shown otherwise is another node.
func TestLinkIsDecidedAgain(t *testing.T) {
	tree := newTree(t)
	tree.Link("/link", "/pfs/a")
	var leave atomic.Bool
	m, mnt := mount(t, Options{Source: tree, Links: func(_, target string) (string, bool) { return target, !leave.Load() }})
	for _, want := range []string{mnt + "/pfs/a", "/pfs/a"} {
		if got := shell(t, `readlink "$1/link"; stat -c %s "$1/link"`, mnt); got != fmt.Sprintf("%s\n%d\n", want, len(want)) {
			t.Errorf("%q, want %q", got, want)
		}
		leave.Store(true)
		m.Changed("/link")
		flush(t, m)
	}
}

// TestLinksOfAPFS: with a real directory behind, named through a link.
func TestLinksOfAPFS(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/real/lib", 0o755))
	must(t, os.Symlink("real", dir+"/named"))
	must(t, os.Symlink(dir+"/named/lib", dir+"/real/a"))
	must(t, os.Symlink(dir+"/real/lib", dir+"/real/b"))
	must(t, os.Symlink(dir+"/outside", dir+"/real/c"))
	src, origin := realSource(t, dir+"/named", storetest.Lifetime)
	_, mnt := mount(t, Options{Source: src, Links: origin.LinkInView})
	for name, want := range map[string]string{"/a": mnt + "/lib", "/b": mnt + "/lib", "/c": dir + "/outside"} {
		if got := shell(t, `readlink "$1"`, mnt+name); got != want+"\n" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var st unix.Stat_t
	must(t, unix.Lstat(dir+"/real/a", &st))
	if size := shell(t, `stat -c %s "$1/a"`, mnt); size == fmt.Sprintln(st.Size) {
		t.Error("the size is that of the link behind the mount")
	}
}
