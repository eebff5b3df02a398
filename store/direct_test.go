package store_test

import (
	"context"
	"testing"

	"github.com/copper-hpc/copper/store"
)

// TestDirect: the data of large files comes from the origin, all else from the other Source.
func TestDirect(t *testing.T) {
	near, _, _ := newTree(t, 64<<20)
	far, s, _ := newTree(t, 64<<20)
	for path, size := range map[string]int{"/small": 10, "/limit": 100, "/large": 101} {
		near.Write(path, make([]byte, size))
		far.Write(path, make([]byte, size))
	}
	d := store.NewDirect(s, near, 100)
	for path, fromNear := range map[string]int{"/small": 0, "/limit": 0, "/large": 1} {
		a, err := d.Stat(context.Background(), path, none)
		if err != nil {
			t.Fatal(err)
		}
		file := store.File{Path: path, Version: a.Version()}
		if fromNear > 0 {
			file = fileOf(t, near, path) // of another node's file system: the version there
			file.Version.Size = a.Size
		}
		read(t, d, file, 0)
		if got := near.Counts()["read "+path]; got != fromNear {
			t.Errorf("%s was read %d times directly, want %d: %v", path, got, fromNear, near.Counts())
		}
		if got := far.Counts()["read "+path]; got != 1-fromNear {
			t.Errorf("%s was read %d times through the other", path, got)
		}
		if got := near.Counts()["lstat "+path]; got > fromNear {
			t.Errorf("attributes of %s were asked directly", path)
		}
	}
}
