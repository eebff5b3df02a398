package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"pgregory.net/rapid"
)

// asking asks for a path in the background.
func asking(t *testing.T, wg *sync.WaitGroup, m *member, path string) {
	wg.Go(func() { m.stat(t, path) })
}

func TestParentDiesWhileItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		c := start(t, plan{nodes: 3, fanout: 1, origin: origin})
		resume := tree.Stall("lstat", "/d/f0")
		var wg sync.WaitGroup
		asking(t, &wg, c.at(0, 2), "/d/f0")
		asking(t, &wg, c.at(0, 1), "/d/f0") // keeps the root's question to the PFS open
		asking(t, &wg, c.at(0, 0), "/d/f0")
		synctest.Wait()
		c.at(0, 1).kill()
		synctest.Wait()
		resume()
		wg.Wait()
		leaf := c.at(0, 2).Stats()
		if leaf.Failovers != 1 || leaf.Direct != 0 {
			t.Errorf("the leaf's parent has died, and its stats are %+v", leaf)
		}
	})
}

func TestOneNodeActsAsTheRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		c := start(t, plan{nodes: 30, fanout: 3, trees: 1, origin: origin})
		for _, position := range []int{0, 1} { // the root and its first child
			c.at(0, position).kill()
		}
		var wg sync.WaitGroup
		for position := 2; position < 30; position++ {
			wg.Go(func() {
				if _, err := c.at(0, position).store.Stat(t.Context(), "/d/f0", store.Version{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := tree.Count("lstat", "/d/f0"); n != 1 {
			t.Errorf("the PFS was asked %d times", n)
		}
		for position := 2; position < 30; position++ {
			want := int64(0)
			if position == 2 {
				want = 1
			}
			if direct := c.at(0, position).Stats().Direct; direct != want {
				t.Errorf("position %d asked its origin %d times, want %d", position, direct, want)
			}
		}
	})
}

func TestTheLastOneReadsThePFSItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 2)
		c := start(t, plan{nodes: 12, fanout: 2, trees: 1, origin: origin})
		leaf := c.at(0, 11)
		for position := range 11 {
			c.at(0, position).kill()
		}
		for _, path := range []string{"/d/f0", "/d/f1", "/d", "/"} {
			leaf.stat(t, path)
		}
		if direct := leaf.Stats().Direct; direct != 4 {
			t.Errorf("%d of 4 requests went to the origin", direct)
		}
	})
}

// startFaulty starts two nodes, each on a transport of its own whose faults a test can choose.
func startFaulty(t *testing.T, origin func(*member) store.Source) (*cluster, map[int]*faulty) {
	t.Helper()
	network := NewVirtual()
	faults := map[int]*faulty{}
	c := start(t, plan{nodes: 2, origin: origin, transport: func(rank int) Transport {
		if faults[rank] == nil {
			faults[rank] = &faulty{Transport: network}
		}
		return faults[rank]
	}})
	return c, faults
}

func TestSilentParentIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 2)
		c, faults := startFaulty(t, origin)
		root, leaf := c.at(0, 0), c.at(0, 1)
		leaf.stat(t, "/d/f0")
		faults[root.self].freeze()
		began := time.Now()
		leaf.stat(t, "/d/f1") // from the PFS: nobody else is above, and pings aren't answered
		if took := time.Since(began); took >= 3*time.Second {
			t.Errorf("a silent parent was waited for during %v", took)
		}
		time.Sleep(4*time.Second - time.Since(began))
		if s := leaf.Stats(); s.Suspects != 1 || s.Direct != 1 || s.Hedges != 1 || s.HedgesWon != 1 {
			t.Errorf("stats after the failure: %+v", s)
		}
		began = time.Now()
		leaf.stat(t, "/d/f0")
		if took := time.Since(began); took != 0 {
			t.Errorf("a suspect held up the next request by %v", took)
		}
		if s := leaf.Stats(); s.Suspects != 1 || s.Direct != 2 {
			t.Errorf("stats after the failure: %+v", s)
		}
		if got := leaf.Suspects(); len(got) != 1 || got[0].Rank != root.self || got[0].Host != "x"+strconv.Itoa(root.self) || began.Sub(got[0].Since) > 4*time.Second {
			t.Errorf("suspects after the failure: %+v", got)
		}

		// It comes back when it can be reached again.
		time.Sleep(10 * time.Minute)
		if leaf.Stats().Suspects != 1 {
			t.Error("a parent that is still silent is trusted again")
		}
		faults[root.self].unfreeze()
		time.Sleep(time.Minute + leaf.timing.Dial)
		synctest.Wait()
		leaf.stat(t, "/d/f1")
		if s := leaf.Stats(); s.Suspects != 0 || s.Direct != 2 {
			t.Errorf("stats after its return: %+v", s)
		}
		if got := leaf.Suspects(); len(got) > 0 {
			t.Errorf("suspects after its return: %+v", got)
		}
	})
}

func TestSlowPFSIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		c := start(t, plan{nodes: 3, fanout: 1, origin: origin})
		resume := tree.Stall("lstat", "/d/f0")
		var wg sync.WaitGroup
		asking(t, &wg, c.at(0, 2), "/d/f0")
		time.Sleep(17 * time.Minute)
		if s := c.at(0, 2).Stats(); s.Failovers != 0 || s.Suspects != 0 {
			t.Errorf("a slow PFS counts as a failure: %+v", s)
		}
		resume()
		wg.Wait()
		if n := tree.Count("lstat", "/d/f0"); n != 1 {
			t.Errorf("the PFS was asked %d times", n)
		}
	})
}

func TestCancelReachesThePFS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &failing{err: errTest, waits: true}
		c := start(t, plan{nodes: 3, fanout: 1, origin: func(*member) store.Source { return slow }})
		leaf := c.at(0, 2)
		file := store.File{Path: "/f", Version: store.Version{Size: 3}}
		for name, ask := range map[string]func(context.Context) error{
			"stat":      func(ctx context.Context) error { _, err := leaf.Stat(ctx, "/f", store.Version{}); return err },
			"list":      func(ctx context.Context) error { _, err := leaf.List(ctx, "/f", nil); return err },
			"readlink":  func(ctx context.Context) error { _, err := leaf.ReadLink(ctx, "/f"); return err },
			"readchunk": func(ctx context.Context) error { _, err := leaf.ReadChunk(ctx, file, 0); return err },
		} {
			asked, left := slow.asked.Load(), slow.left.Load()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Minute, cancel)
			if err := ask(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the caller that left got %v", name, err)
			}
			synctest.Wait()
			if slow.asked.Load() != asked+1 || slow.left.Load() != left+1 {
				t.Errorf("%s: the PFS is still asked", name)
			}
		}
	})
}

// TestTreesDontWaitForEachOther: a peer that is parent in two trees has all that it may have of
// one tree's requests, all stuck at the PFS, and still answers those of the other.
func TestTreesDontWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &failing{err: errTest, waits: true}
		tree, _ := pfs(t, 50)
		forest := mustForest(t, roster(3), 2, 1)
		c := start(t, plan{nodes: 3, trees: 2, fanout: 1, origin: func(*member) store.Source {
			return stuckTree{forest, slow, tree}
		}})
		child := c.members[2] // whose parent is rank 1 in both
		ctx, leave := context.WithCancel(t.Context())
		var stuck sync.WaitGroup
		for i := range 2 * inFlight[small] {
			path := fmt.Sprintf("/stuck%d", i)
			if forest.Tree(path) != 0 {
				continue
			}
			for range 4 {
				stuck.Go(func() { _, _ = child.Stat(ctx, path, store.Version{}) })
			}
		}
		synctest.Wait()
		answered := 0
		for i := range 50 {
			if path := fmt.Sprintf("/d/f%d", i); forest.Tree(path) == 1 {
				child.stat(t, path)
				answered++
			}
		}
		if answered == 0 || slow.asked.Load() == 0 || child.Stats().Direct != 0 {
			t.Errorf("%d answered, %d stuck, %+v", answered, slow.asked.Load(), child.Stats())
		}
		leave()
		stuck.Wait()
	})
}

// stuckTree is a PFS that doesn't answer for the paths of the first tree.
type stuckTree struct {
	forest *Forest
	slow   *failing
	store.Source
}

func (s stuckTree) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	if s.forest.Tree(path) == 0 {
		return s.slow.Stat(ctx, path, stale)
	}
	return s.Source.Stat(ctx, path, stale)
}

// TestClosingParentGivesNoErrno: what a node says whose own work was cut short is not the PFS's
// answer, whatever errno it carries.
func TestClosingParentGivesNoErrno(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINTR, syscall.ETIMEDOUT, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			_, origin := pfs(t, 1)
			cut := &failing{err: &store.Error{Op: "lstat", Path: "/d/f0", Errno: errno}, waits: true}
			c := start(t, plan{nodes: 2, origin: origin, serve: func(*member) store.Source { return cut }})
			var wg sync.WaitGroup
			asking(t, &wg, c.at(0, 1), "/d/f0")
			synctest.Wait()
			c.at(0, 0).kill()
			wg.Wait()
			if cut.asked.Load() != 1 || c.at(0, 1).Stats().Direct != 1 {
				t.Error("the question did not go to the parent first, then to the origin")
			}
		})
	}
}

// TestWhatIsNoAnswer: errors of the parent's own making send the question on, and don't make it a
// suspect.
func TestWhatIsNoAnswer(t *testing.T) {
	for name, err := range map[string]error{
		"busy": store.ErrBusy, "no errno": errTest, "cancelled": context.Canceled, "late": context.DeadlineExceeded,
	} {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, serve: func(*member) store.Source { return &failing{err: err} }})
		leaf := c.at(0, 1)
		leaf.stat(t, "/d/f0")
		if s := leaf.Stats(); s.Direct != 1 || s.Failovers != 1 || s.Suspects != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestErrnoIsAnAnswer: what the PFS said comes through as it is, with what is left of its lease.
func TestErrnoIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.EACCES, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EINTR} {
			tree.Fail("lstat", "/d/"+errno.Error(), errno)
		}
		tree.Lifetime = time.Minute
		c := start(t, plan{nodes: 4, fanout: 1, origin: origin})
		leaf := c.at(0, 3)
		for _, errno := range []syscall.Errno{
			syscall.EIO, syscall.EACCES, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EINTR, syscall.ENOENT,
		} {
			path := "/d/" + errno.Error()
			_, err := leaf.Stat(t.Context(), path, store.Version{})
			var said *store.Error
			if !errors.As(err, &said) || said.Errno != errno || said.Path != path || said.Op != "lstat" {
				t.Errorf("%v arrives as %v", errno, err)
				continue
			}
			var lease time.Time
			if errno == syscall.ENOENT {
				lease = time.Now().Add(time.Minute)
			}
			if !said.Expires.Equal(lease) {
				t.Errorf("%v may be remembered until %v, want %v", errno, said.Expires, lease)
			}
		}
		time.Sleep(40 * time.Second) // the same answer, from the memory of the nodes above
		_, err := leaf.Stat(t.Context(), "/d/"+syscall.ENOENT.Error(), store.Version{})
		var said *store.Error
		if !errors.As(err, &said) || time.Until(said.Expires) != 20*time.Second {
			t.Errorf("of a minute's lease 20 s are left, and it arrives as %v", err)
		}
		if s := leaf.Stats(); s.Failovers != 0 || s.Direct != 0 {
			t.Errorf("an errno counts as a failure: %+v", s)
		}
	})
}

// TestCorruptChunkIsNotBelieved: the wire changes a bit, and the data still comes right.
func TestCorruptChunkIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c, faults := startFaulty(t, origin)
		leaf := c.at(0, 1)
		content := strings.Repeat("data", 1000)
		tree, _ := leaf.origin.(interface{ Write(string, []byte) })
		tree.Write("/big", []byte(content))
		file := store.File{Path: "/big", Version: leaf.stat(t, "/big").Version()}
		faults[c.at(0, 0).self].corrupt.Store(true)
		chunk, err := leaf.ReadChunk(t.Context(), file, 0)
		if err != nil {
			t.Fatal(err)
		}
		if string(chunk.Bytes()) != content {
			t.Error("the content came wrong")
		}
		chunk.Release()
		if s := leaf.Stats(); s.Direct != 1 || s.Suspects != 1 {
			t.Errorf("stats after a corrupt chunk: %+v", s)
		}
	})
}

// TestOwnMemoryIsNoPeersFailure: a node without memory says so, instead of asking others.
func TestOwnMemoryIsNoPeersFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin})
		leaf := c.at(0, 1)
		file := store.File{Path: "/d/f0", Version: leaf.stat(t, "/d/f0").Version()}
		var held []*store.Chunk
		for leaf.mem.Use().Used < leaf.mem.Use().Limit {
			chunk, err := leaf.mem.Chunk(t.Context(), store.ChunkSize)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, chunk)
		}
		if _, err := leaf.ReadChunk(t.Context(), file, 0); !errors.Is(err, store.ErrBusy) {
			t.Errorf("without memory a chunk is answered with %v", err)
		}
		for _, chunk := range held {
			chunk.Release()
		}
		if s := leaf.Stats(); s.Failovers != 0 || s.Direct != 0 {
			t.Errorf("the own lack of memory counts as a peer's failure: %+v", s)
		}
	})
}

// TestUpstreamGoesUp: whoever is suspected, only nodes before the own position are asked, each
// once, and no suspect.
func TestUpstreamGoesUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "nodes")
		nodes := roster(n)
		self := rapid.IntRange(0, n-1).Draw(t, "self")
		o := &Overlay{self: self, nodes: nodes, peers: map[int]*peer{}}
		o.forest = mustForest(t, nodes, rapid.IntRange(1, n).Draw(t, "trees"), rapid.IntRange(1, 5).Draw(t, "fanout"))
		for rank := range nodes {
			o.peer(rank).suspect.Store(rapid.Bool().Draw(t, "suspect"))
		}
		fails := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "fails as a suspect")
		tree := rapid.IntRange(0, o.forest.Trees()-1).Draw(t, "tree")
		position := o.forest.Position(tree, self)
		var asked []int
		s := rapid.SampledFrom([]shape{o.forest.shape, o.forest.bulk}).Draw(t, "shape")
		for p := range o.upstream(route{tree, position, s}) {
			at := o.forest.Position(tree, p.node.Rank)
			if at >= position || slices.Contains(asked, at) || p.suspect.Load() {
				t.Fatalf("position %d asks %d after %v", position, at, asked)
			}
			asked = append(asked, at)
			p.suspect.Store(fails[at])
		}
		for _, above := range s.ancestors(position) {
			if p := o.peer(o.forest.Rank(tree, above)); !p.suspect.Load() && !slices.Contains(asked, above) {
				t.Fatalf("position %d has the live ancestor %d and asks only %v", position, above, asked)
			}
		}
	})
}
