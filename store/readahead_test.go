package store_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func read(t *testing.T, src store.Source, f store.File, index int64) {
	t.Helper()
	c, err := src.ReadChunk(context.Background(), f, index)
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
}

func TestReadaheadConformance(t *testing.T) {
	storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
		mem := storetest.Memory(t, 64<<20)
		r := store.NewReadahead(store.NewStore(newOrigin(t, dir, mem), mem), mem)
		t.Cleanup(r.Close)
		return r
	})
}

// TestReadahead: while a file is read from its front the next chunks are asked for, each once and
// none beyond the end; elsewhere nothing is.
func TestReadahead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, mem := newTree(t, 128<<20)
		r := store.NewReadahead(s, mem)
		defer r.Close()
		tree.Write("/f", make([]byte, 20*store.ChunkSize))
		f := fileOf(t, tree, "/f")
		asked := func(want int) {
			t.Helper()
			synctest.Wait()
			if n := tree.Count("read", "/f"); n != want {
				t.Errorf("%d chunks asked for, want %d", n, want)
			}
		}
		read(t, r, f, 0)
		asked(9) // and the window
		read(t, r, f, 0)
		asked(9)
		read(t, r, f, 1)
		asked(10)
		for i := range f.Chunks() {
			read(t, r, f, i)
		}
		asked(20)

		tree.Write("/g", make([]byte, 20*store.ChunkSize))
		g := fileOf(t, tree, "/g")
		for _, i := range []int64{7, 3, 12, 5} {
			read(t, r, g, i)
		}
		synctest.Wait()
		if n := tree.Count("read", "/g"); n != 4 {
			t.Errorf("random reads asked for %d chunks, want 4", n)
		}
	})
}

// TestReadaheadClose: what is under way when it is closed is given up.
func TestReadaheadClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, mem := newTree(t, 128<<20)
		r := store.NewReadahead(s, mem)
		tree.Write("/f", make([]byte, 20*store.ChunkSize))
		f := fileOf(t, tree, "/f")
		read(t, s, f, 0)
		tree.Stall("read", "/f")
		read(t, r, f, 0) // comes from the store; the window stalls
		synctest.Wait()
		r.Close()
		read(t, r, f, 0)
	})
}
