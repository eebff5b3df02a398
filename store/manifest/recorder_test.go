package manifest

import (
	"slices"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func TestRecorder(t *testing.T) {
	m, err := store.NewMemory(store.MinMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tree := storetest.NewTree(m)
	tree.Write("/d/f", make([]byte, store.ChunkSize+10))
	tree.Link("/d/l", "f")
	tree.Fail("lstat", "/d/broken", syscall.EIO)
	r := NewRecorder(tree)
	ctx := t.Context()
	for range 2 { // the second time is not noted
		a, err := r.Stat(ctx, "/d/f", store.Version{})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/d/none", "/d/broken", "/d", "/d/l"} {
			_, _ = r.Stat(ctx, path, store.Version{})
		}
		if _, err := r.List(ctx, "/d", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ReadLink(ctx, "/d/l"); err != nil {
			t.Fatal(err)
		}
		c, err := r.ReadChunk(ctx, store.File{Path: "/d/f", Version: a.Version()}, 1)
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	f, err := tree.Stat(ctx, "/d/f", store.Version{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Access{
		{Op: Stat, Path: "/d/f", Kind: File, Size: store.ChunkSize + 10, Mtime: f.Mtime},
		{Op: Stat, Path: "/d/none", Kind: Absent},
		{Op: Stat, Path: "/d", Kind: Dir},
		{Op: Stat, Path: "/d/l", Kind: Link},
		{Op: List, Path: "/d", Kind: Dir, Names: 2},
		{Op: ReadLink, Path: "/d/l", Kind: Link},
		{Op: ReadData, Path: "/d/f", Kind: File, Size: store.ChunkSize + 10, From: store.ChunkSize, To: store.ChunkSize + 10},
	}
	if got := r.Accesses(); !slices.Equal(got, want) {
		t.Errorf("recorded\n%v\nwant\n%v", got, want)
	}
}
