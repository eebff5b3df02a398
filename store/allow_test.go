package store_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestAllow: what is below a prefix is seen, the way to it too, and nothing else, whether it exists
// or not.
func TestAllow(t *testing.T) {
	tree, s, _ := newTree(t, 64<<20)
	for _, p := range []string{"/lus/env/bin/python", "/lus/env2/x", "/lus/secret", "/data/in/deck", "/data/out/f", "/etc/passwd"} {
		tree.Write(p, []byte(p))
	}
	tree.Link("/lus/env/out", "../secret")
	a := store.NewAllow(s, []string{"/lus/env", "/data/in/"})
	ctx := context.Background()
	for path, want := range map[string]syscall.Errno{
		"/": 0, "/lus": 0, "/data": 0, "/lus/env": 0, "/lus/env/bin/python": 0, "/data/in/deck": 0, "/lus/env/out": 0,
		"/lus/env/none": syscall.ENOENT, "/data/in/none": syscall.ENOENT,
		"/lus/env2": syscall.EACCES, "/lus/env2/x": syscall.EACCES, "/lus/secret": syscall.EACCES, "/lus/none": syscall.EACCES,
		"/data/out/f": syscall.EACCES, "/etc/passwd": syscall.EACCES, "/none": syscall.EACCES,
	} {
		if _, err := a.Stat(ctx, path, none); store.Errno(err) != want {
			t.Errorf("Stat %s: %v, want %v", path, err, want)
		}
	}
	for dir, want := range map[string][]string{
		"/": {"data", "lus"}, "/lus": {"env"}, "/data": {"in"}, "/data/in": {"deck"}, "/lus/env": {"bin", "out"},
	} {
		l, err := a.List(ctx, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range l.Entries {
			got = append(got, e.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("List %s: %q, want %q", dir, got, want)
		}
	}
	_, err := a.List(ctx, "/data/out", nil)
	wantErrno(t, err, syscall.EACCES)
	_, err = a.ReadLink(ctx, "/lus/secret")
	wantErrno(t, err, syscall.EACCES)
	if target, err := a.ReadLink(ctx, "/lus/env/out"); target != "../secret" || err != nil {
		t.Errorf("ReadLink: %q, %v", target, err)
	}
	_, err = a.ReadChunk(ctx, fileOf(t, s, "/lus/secret"), 0)
	wantErrno(t, err, syscall.EACCES)
	read(t, a, fileOf(t, s, "/lus/env/bin/python"), 0)
	for path := range tree.Counts() {
		if path == "lstat /none" || path == "lstat /lus/none" {
			t.Errorf("asked upstream: %s", path)
		}
	}
}

// TestAllowAll: with the prefix / it is as if there were none.
func TestAllowAll(t *testing.T) {
	storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
		mem := storetest.Memory(t, 64<<20)
		return store.NewAllow(store.NewStore(newOrigin(t, dir, mem), mem), []string{"/"})
	})
}

func TestCheckPrefix(t *testing.T) {
	for prefix, good := range map[string]bool{"/": true, "/a/b": true, "": false, "a": false, "./a": false} {
		if err := store.CheckPrefix(prefix); (err == nil) != good {
			t.Error(fmt.Sprintf("%q", prefix), err)
		}
	}
}
