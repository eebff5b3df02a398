package overlay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestThePFSIsAskedOnce: all nodes ask for everything at the same time.
func TestThePFSIsAskedOnce(t *testing.T) {
	for _, trees := range []int{1, 7} {
		synctest.Test(t, func(t *testing.T) {
			const nodes, files = 40, 20
			tree, origin := pfs(t, files)
			tree.Link("/d/link", "f0")
			c := start(t, plan{nodes: nodes, trees: trees, fanout: 3, origin: origin})
			var wg sync.WaitGroup
			for _, m := range c.members {
				wg.Go(func() { askAll(t, m.store, files) })
			}
			wg.Wait()
			want := map[string]int{"readdir /d": 1, "readlink /d/link": 1}
			for i := range files {
				want[fmt.Sprintf("lstat /d/f%d", i)] = 1
				want[fmt.Sprintf("read /d/f%d", i)] = 1
			}
			got := tree.Counts()
			maps.DeleteFunc(got, func(q string, n int) bool {
				// Which of the missing names were looked up before the listing was there is a matter of
				// chance; none was twice.
				return strings.Contains(q, "missing") && n == 1
			})
			if !maps.Equal(got, want) {
				t.Errorf("the PFS was asked\n    %v\nwant %v", got, want)
			}
			for _, m := range c.members {
				if s := m.Stats(); s.Direct != 0 || s.Failovers != 0 {
					t.Errorf("rank %d: %+v", m.self, s)
				}
			}
		})
	}
}

func askAll(t *testing.T, src store.Source, files int) {
	for i := range files {
		path := fmt.Sprintf("/d/f%d", i)
		a, err := src.Stat(t.Context(), path, store.Version{})
		if err != nil {
			t.Error(err)
			return
		}
		chunk, err := src.ReadChunk(t.Context(), store.File{Path: path, Version: a.Version()}, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if want := fmt.Sprintf("content of file %d", i); string(chunk.Bytes()) != want {
			t.Errorf("%s holds %q", path, chunk.Bytes())
		}
		chunk.Release()
		if _, err := src.Stat(t.Context(), fmt.Sprintf("/d/missing%d", i), store.Version{}); store.Errno(err) != syscall.ENOENT {
			t.Errorf("a name that is missing: %v", err)
		}
	}
	if target, err := src.ReadLink(t.Context(), "/d/link"); target != "f0" || err != nil {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// TestListingIsRenewed: a listing that the caller holds isn't sent again while it is true.
func TestListingIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1000)
		c := start(t, plan{nodes: 2, origin: origin})
		child := c.at(0, 1)
		list := func(known *store.Listing) (l *store.Listing, bytes int64) {
			before := child.Stats().Trees[0].BytesIn
			l, err := child.List(t.Context(), "/d", known)
			if err != nil {
				t.Fatal(err)
			}
			return l, child.Stats().Trees[0].BytesIn - before
		}
		first, bytes := list(nil)
		if len(first.Entries) != 1000 || bytes < 1000*entrySize {
			t.Fatalf("%d entries in %d bytes", len(first.Entries), bytes)
		}
		time.Sleep(tree.Lifetime + time.Second)
		again, bytes := list(first)
		if bytes > 16 || &again.Entries[0] != &first.Entries[0] || !time.Now().Before(again.Expires) {
			t.Errorf("renewed in %d bytes, until %v", bytes, again.Expires)
		}
		tree.Remove("/d/f7")
		time.Sleep(tree.Lifetime + time.Second)
		changed, _ := list(again)
		if len(changed.Entries) != 999 {
			t.Errorf("%d entries after one was removed", len(changed.Entries))
		}
		unsettled := *changed
		unsettled.Settled = false
		if l, _ := list(&unsettled); len(l.Entries) != 999 || !l.Settled {
			t.Error("a listing that can't be renewed was")
		}
	})
}

// TestStaleAttributesAreAskedAnew: what a reader knows to be gone is told upwards.
func TestStaleAttributesAreAskedAnew(t *testing.T) {
	tree, origin := pfs(t, 1)
	c := start(t, plan{nodes: 3, fanout: 1, origin: origin})
	leaf := c.at(0, 2)
	old := leaf.stat(t, "/d/f0").Version()
	tree.Write("/d/f0", []byte("something else"))
	if leaf.stat(t, "/d/f0").Version() != old {
		t.Error("the PFS was asked again for nothing")
	}
	a, err := leaf.Stat(t.Context(), "/d/f0", old)
	if err != nil || a.Version() == old {
		t.Errorf("the version that is gone is still given: %v", err)
	}
}

func TestFirstAnswerIsTold(t *testing.T) {
	_, origin := pfs(t, 1)
	var mu sync.Mutex
	told := map[int][]string{}
	c := start(t, plan{nodes: 2, origin: origin, config: func(cfg *Config) {
		self := cfg.Self
		cfg.OnFirst = func(op string) {
			mu.Lock()
			defer mu.Unlock()
			told[self] = append(told[self], op)
		}
	}})
	child := c.at(0, 1)
	if _, err := child.List(t.Context(), "/d", nil); err != nil {
		t.Error(err)
	}
	child.stat(t, "/d/f0")
	c.at(0, 0).stat(t, "/d/f0")
	if got := fmt.Sprint(told); got != fmt.Sprintf("map[%d:[readdir]]", child.self) {
		t.Errorf("told: %s", got)
	}
}

// TestUnsendablePathsGoToTheOrigin: they get the PFS's own answer.
func TestUnsendablePathsGoToTheOrigin(t *testing.T) {
	_, origin := pfs(t, 1)
	c := start(t, plan{nodes: 2, origin: origin})
	child := c.at(0, 1)
	path := "/" + strings.Repeat("n", maxPath)
	if _, err := child.Stat(t.Context(), path, store.Version{}); store.Errno(err) != syscall.ENOENT {
		t.Errorf("a path of %d bytes: %v", len(path), err)
	}
	if s := child.Stats(); s.Trees[0].Asked != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestIdleConnectionsAreClosed, by the child, and are made again without suspecting anybody.
// TestLocalPaths: what only this node has is asked of no other, whoever is the root of its tree.
func TestLocalPaths(t *testing.T) {
	rank := byte(0)
	c := start(t, plan{nodes: 3,
		origin: func(m *member) store.Source {
			tree := storetest.NewTree(m.mem)
			tree.Write("/tmp/here", make([]byte, rank))
			tree.Write("/shared", make([]byte, rank))
			rank++
			return tree
		},
		config: func(cfg *Config) { cfg.Local = func(path string) bool { return strings.HasPrefix(path, "/tmp") } },
	})
	for i, m := range c.members {
		for path, want := range map[string]int64{"/tmp/here": int64(i), "/shared": 0} {
			if a, err := m.store.Stat(context.Background(), path, store.Version{}); err != nil || a.Size != want {
				t.Errorf("node %d: %s has %d bytes (%v), want %d", i, path, a.Size, err, want)
			}
		}
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 2)
		c := start(t, plan{nodes: 2, origin: origin})
		root, child := c.at(0, 0), c.at(0, 1)
		child.stat(t, "/d/f0")
		if p, n := child.Stats().Parents, root.Stats().Children; p != 1 || n != 1 {
			t.Errorf("in use: %d parents and %d children", p, n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if p, n := child.Stats().Parents, root.Stats().Children; p != 0 || n != 0 {
			t.Errorf("idle: %d parents and %d children", p, n)
		}
		child.stat(t, "/d/f1")
		if s := child.Stats(); s.Direct != 0 || s.Failovers != 0 || s.Parents != 1 {
			t.Errorf("in use again: %+v", s)
		}
	})
}

// TestEveryEndpointLeadsToTheNode: a node that has lost one of its networks is reached by the other.
func TestEveryEndpointLeadsToTheNode(t *testing.T) {
	_, origin := pfs(t, 20)
	network := NewVirtual()
	var listeners []net.Listener
	nodes := roster(2)
	for rank := range nodes {
		nodes[rank].Endpoints = nil
		for range 2 {
			ln, err := network.Listen("mem://")
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, ln)
			nodes[rank].Endpoints = append(nodes[rank].Endpoints, ln.Addr().String())
		}
	}
	var overlays []*Overlay
	var wg sync.WaitGroup
	defer wg.Wait()
	for rank := range nodes {
		mem := memory(t, func() {})
		o, err := New(Config{Self: rank, Nodes: nodes, Trees: 2, Memory: mem, Transport: network}, origin(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		overlays = append(overlays, o)
		for _, ln := range listeners[2*rank : 2*rank+2] {
			wg.Go(func() { _ = o.Serve(ln, o) })
		}
	}
	_ = listeners[1].Close() // one of rank 0's
	for i := range 20 {
		if _, err := overlays[1].Stat(t.Context(), fmt.Sprintf("/d/f%d", i), store.Version{}); err != nil {
			t.Error(err)
		}
	}
	s := overlays[1].Stats()
	if s.Direct != 0 || s.Failovers != 0 || s.Suspects != 0 || s.Trees[0].Asked+s.Trees[1].Asked == 0 {
		t.Errorf("with one endpoint gone: %+v", s)
	}
}

func TestServeTellsThatItsListenerFailed(t *testing.T) {
	_, origin := pfs(t, 0)
	c := start(t, plan{nodes: 1, origin: origin})
	ln, err := NewVirtual().Listen("mem://")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := c.members[0].Serve(ln, c.members[0].store); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: %v", err)
	}
}

func TestClosedOverlayAsksTheOrigin(t *testing.T) {
	_, origin := pfs(t, 1)
	c := start(t, plan{nodes: 2, origin: origin})
	child := c.at(0, 1)
	child.stat(t, "/d/f0")
	child.kill()
	child.stat(t, "/d/f0")
	if err := child.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if s := child.Stats(); s.Direct != 1 || s.Suspects != 0 {
		t.Errorf("after Close: %+v", s)
	}
}

func TestNewRefuses(t *testing.T) {
	_, origin := pfs(t, 0)
	good := func() Config { return Config{Nodes: roster(2), Memory: memory(t, func() {})} }
	for name, spoil := range map[string]func(*Config){
		"no nodes":         func(c *Config) { c.Nodes = nil },
		"a rank beyond":    func(c *Config) { c.Self = 2 },
		"no memory":        func(c *Config) { c.Memory = nil },
		"no endpoint":      func(c *Config) { c.Nodes[1].Endpoints = nil },
		"another's forest": func(c *Config) { c.Forest = mustForest(t, roster(3), 0, 0) },
	} {
		cfg := good()
		spoil(&cfg)
		if _, err := New(cfg, origin(nil)); err == nil {
			t.Errorf("%s: New makes an overlay", name)
		}
	}
	if _, err := New(good(), nil); err == nil {
		t.Error("no origin: New makes an overlay")
	}
}

// TestLeavingCallersKeepNothing: callers that leave at any moment leave no chunk and no place
// behind; the memory's own test at the end counts.
func TestLeavingCallersKeepNothing(t *testing.T) {
	tree, origin := pfs(t, 0)
	tree.Write("/big", make([]byte, 8*store.ChunkSize))
	c := start(t, plan{nodes: 3, fanout: 1, origin: origin})
	leaf := c.at(0, 2)
	file := store.File{Path: "/big", Version: leaf.stat(t, "/big").Version()}
	var wg sync.WaitGroup
	for i := range int64(200) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%50)*100*time.Microsecond)
			defer cancel()
			chunk, err := leaf.ReadChunk(ctx, file, i%8)
			if err == nil {
				chunk.Release()
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	chunk, err := leaf.ReadChunk(t.Context(), file, 0)
	if err != nil {
		t.Fatal(err)
	}
	chunk.Release()
	if s := leaf.Stats(); s.Suspects != 0 || s.Direct != 0 {
		t.Errorf("leaving counts as a peer's failure: %+v", s)
	}
}
