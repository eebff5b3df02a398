package store_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestHold: a store that has forgotten does not keep what it learns from one that has not, and keeps
// again once all have.
func TestHold(t *testing.T) {
	tree, parent, _ := newTree(t, 64<<20)
	child := store.NewStore(parent, storetest.Memory(t, 64<<20))
	ctx := context.Background()
	tree.Write("/lib/f", []byte("old"))
	fileOf(t, child, "/lib/f")
	if _, err := child.Stat(ctx, "/lib/new", none); err == nil {
		t.Fatal("it exists")
	}
	tree.Write("/lib/f", []byte("newer"))
	tree.Write("/lib/new", nil)
	size := func() int64 { t.Helper(); return fileOf(t, child, "/lib/f").Version.Size }

	if n := child.Hold("/lib/f", time.Hour); n == 0 {
		t.Error("nothing was forgotten")
	}
	if size() != 3 {
		t.Error("the parent has forgotten too")
	}
	parent.Hold("/lib/f", time.Hour)
	if size() != 5 {
		t.Error("what the parent said before was kept")
	}
	for _, s := range []*store.Store{child, parent} {
		s.Release("/lib/f")
	}
	for range 3 {
		if size() != 5 {
			t.Error("the old is back")
		}
	}
	if n := tree.Count("lstat", "/lib/f"); n != 3 {
		t.Errorf("asked upstream %d times, want once before, while held, and after", n)
	}
	// A prefix that was absent may be in its directory's listing.
	for _, s := range []*store.Store{child, parent} {
		s.Hold("/lib/new", time.Hour)
	}
	for _, s := range []*store.Store{child, parent} {
		s.Release("/lib/new")
	}
	if _, err := child.Stat(ctx, "/lib/new", none); err != nil {
		t.Errorf("a new file: %v", err)
	}
}

// TestHoldEnds: without a Release, and not by somebody else's.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, _ := newTree(t, 64<<20)
		tree.Write("/f", nil)
		asked := func() int { fileOf(t, s, "/f"); return tree.Count("lstat", "/f") }
		s.Hold("/", time.Minute)
		s.Hold("/", time.Minute)
		s.Release("/")
		s.Release("/elsewhere")
		for want := range 3 {
			if asked() != want+1 {
				t.Error("kept while held")
			}
		}
		time.Sleep(time.Minute)
		for range 2 {
			if asked() != 4 {
				t.Error("held for ever")
			}
		}
	})
}

// What became of absences is counted, and can be forgotten apart from everything else.
func TestAbsencesAreCounted(t *testing.T) {
	tree := storetest.NewTree(storetest.Memory(t, 64<<20))
	tree.Write("/dir/file", []byte("x"))
	s := store.NewStore(tree, storetest.Memory(t, 64<<20))
	t.Cleanup(func() { s.Forget("/") })
	absent := func() {
		t.Helper()
		if _, err := s.Stat(context.Background(), "/dir/none", store.Version{}); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := s.Stat(context.Background(), "/dir/file", store.Version{}); err != nil {
		t.Fatal(err)
	}
	absent()
	absent()
	if got, want := s.Stats().Absences, (store.AbsenceCounts{Stores: 1, Serves: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	kinds := map[string]int{}
	for _, c := range s.Contents() {
		kinds[c.Kind]++
	}
	if kinds["absent"] != 1 || kinds["listing"] != 1 || kinds["attributes"] == 0 {
		t.Errorf("%v", kinds)
	}
	s.ForgetAbsences()
	kinds = map[string]int{}
	for _, c := range s.Contents() {
		kinds[c.Kind]++
	}
	if kinds["absent"]+kinds["listing"] != 0 || kinds["attributes"] == 0 {
		t.Errorf("after that: %v", kinds)
	}
	absent()
	if got, want := s.Stats().Absences, (store.AbsenceCounts{Stores: 2, Serves: 1, Clears: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
