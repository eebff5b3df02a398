package manifest

import (
	"context"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// replayed is a tree behind a Store, as a node has it.
func replayed(t *testing.T) (*storetest.Tree, *store.Store) {
	m, err := store.NewMemory(store.MinMemory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	tree := storetest.NewTree(m)
	tree.Write("/env/a.py", make([]byte, 100))
	tree.Write("/env/lib/big.so", make([]byte, 2*store.ChunkSize+5))
	tree.Write("/env/empty", nil)
	tree.Link("/env/l", "a.py")
	return tree, store.NewStore(tree, m)
}

func TestReplayFillsTheStore(t *testing.T) {
	tree, s := replayed(t)
	recorder := NewRecorder(s)
	ask := func(src store.Source) {
		a, err := src.Stat(t.Context(), "/env/lib/big.so", store.Version{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = src.Stat(t.Context(), "/env/none", store.Version{})
		_, _ = src.List(t.Context(), "/env", nil)
		_, _ = src.ReadLink(t.Context(), "/env/l")
		c, err := src.ReadChunk(t.Context(), store.File{Path: "/env/lib/big.so", Version: a.Version()}, 2)
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	ask(recorder)
	s.Forget("/")
	r := &Replay{Source: s, Budget: 1 << 30}
	if got := r.Run(t.Context(), recorder.Accesses()); !slices.Equal(got, recorder.Accesses()) {
		t.Errorf("answered\n%v\nwant all of\n%v", got, recorder.Accesses())
	}
	want := Progress{Accesses: 5, Done: 5, Bytes: 5}
	if got := r.Progress(); got != want {
		t.Errorf("progress %+v, want %+v", got, want)
	}
	before := tree.Counts()
	ask(s)
	for op, n := range tree.Counts() {
		if n != before[op] {
			t.Errorf("%s was asked again", op)
		}
	}
}

func TestReplayMeetsAChangedTree(t *testing.T) {
	tree, s := replayed(t)
	accesses := []Access{
		{Op: Stat, Path: "/env/a.py", Kind: File, Size: 100, Mtime: 1}, // another mtime by now
		{Op: Stat, Path: "/env/gone", Kind: File, Size: 5},
		{Op: ReadData, Path: "/env/gone", Kind: File, Size: 5, To: 5},
		{Op: List, Path: "/env/broken", Kind: Dir},
		{Op: ReadData, Path: "/env/a.py", Kind: File, Size: 1000, To: 1000}, // it was longer
		{Op: ReadData, Path: "/env/a.py", Kind: File, Size: 1000, From: 500, To: 1000},
	}
	tree.Fail("readdir", "/env/broken", syscall.EIO)
	r := &Replay{Source: s, Budget: 1 << 30}
	got := r.Run(t.Context(), accesses)
	if len(got) != 2 || got[0].Path != "/env/a.py" || got[1].To != 100 || got[1].Size != 100 {
		t.Errorf("answered %v", got)
	}
	want := Progress{Accesses: 6, Done: 6, Bytes: 100, Gone: 3, Changed: 1, Failed: 1}
	if got := r.Progress(); got != want {
		t.Errorf("progress %+v, want %+v", got, want)
	}
}

func TestWalk(t *testing.T) {
	_, s := replayed(t)
	r := &Replay{Source: s, Budget: 1 << 30}
	var got []string
	for _, a := range r.Walk(t.Context(), "/env") {
		got = append(got, string(a.Op)+" "+a.Path)
	}
	slices.Sort(got)
	want := []string{
		"list /env", "list /env/lib", "read /env/a.py", "read /env/lib/big.so", "readlink /env/l",
		"stat /env", "stat /env/a.py", "stat /env/empty", "stat /env/l", "stat /env/lib", "stat /env/lib/big.so",
	}
	if !slices.Equal(got, want) {
		t.Errorf("walked\n%q\nwant\n%q", got, want)
	}
	if p := r.Progress(); p.Bytes != 100+2*store.ChunkSize+5 || p.Failed+p.Gone != 0 {
		t.Errorf("progress %+v", p)
	}
}

func TestReplayKeepsItsBudget(t *testing.T) {
	tree, s := replayed(t)
	r := &Replay{Source: s, Budget: store.ChunkSize + 7}
	r.Run(t.Context(), []Access{
		{Op: ReadData, Path: "/env/lib/big.so", Kind: File, Size: 2*store.ChunkSize + 5, To: 2*store.ChunkSize + 5},
	})
	if p := r.Progress(); p.Bytes != store.ChunkSize || p.LeftOut != store.ChunkSize+5 {
		t.Errorf("progress %+v, want one chunk read and the rest left out", p)
	}
	if n := tree.Count("read", "/env/lib/big.so"); n != 1 {
		t.Errorf("%d chunks read", n)
	}
}

// TestReplayGivesWay: while somebody waits, one question is under way at a time.
func TestReplayGivesWay(t *testing.T) {
	tree, s := replayed(t)
	var accesses []Access
	for range 50 {
		accesses = append(accesses, Access{Op: Stat, Path: "/env/a.py", Kind: File})
	}
	most := &mostAtOnce{Source: s}
	r := &Replay{Source: most, Budget: 1 << 30, Busy: func() bool { return true }}
	r.Run(t.Context(), accesses)
	if n := most.most.Load(); n != 1 {
		t.Errorf("%d questions at once while somebody waited", n)
	}
	if n := tree.Count("lstat", "/env/a.py"); n != 1 {
		t.Errorf("%d lstats", n)
	}
}

type mostAtOnce struct {
	store.Source
	now, most atomic.Int64
}

func (m *mostAtOnce) Stat(ctx context.Context, path string, v store.Version) (store.Attr, error) {
	now := m.now.Add(1)
	defer m.now.Add(-1)
	for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	return m.Source.Stat(ctx, path, v)
}

func TestReplayEndsWithItsContext(t *testing.T) {
	tree, s := replayed(t)
	tree.Stall("lstat", "/env/a.py")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan []Access)
	r := &Replay{Source: s, Budget: 1 << 30}
	go func() { done <- r.Run(ctx, []Access{{Op: Stat, Path: "/env/a.py", Kind: File}}) }()
	for tree.Count("lstat", "/env/a.py") == 0 {
	}
	cancel()
	if got := <-done; len(got) != 0 {
		t.Errorf("answered %v", got)
	}
	if p := r.Progress(); p.Failed != 0 {
		t.Errorf("progress %+v", p)
	}
}
