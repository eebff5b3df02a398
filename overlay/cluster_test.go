package overlay

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a job in one process: each member has its own memory, store, overlay and listener.
type cluster struct {
	plan    plan
	nodes   []Node
	members []*member
}

type member struct {
	*Overlay
	store   *store.Store
	mem     *store.Memory
	serving sync.WaitGroup
}

// plan is how a test wants its cluster.
type plan struct {
	nodes         int
	trees, fanout int
	transport     func(rank int) Transport // default: one Virtual for all
	endpoint      string                   // default: "mem://"
	origin        func(*member) store.Source
	serve         func(*member) store.Source // default: the member's store
	timing        Timing
	config        func(*Config)
}

// start brings the cluster up and takes it down when the test ends.
func start(t testing.TB, p plan) *cluster {
	t.Helper()
	if p.transport == nil {
		network := NewVirtual()
		p.transport = func(int) Transport { return network }
	}
	if p.endpoint == "" {
		p.endpoint = "mem://"
	}
	c := &cluster{plan: p, nodes: make([]Node, p.nodes)}
	listeners := make([]net.Listener, p.nodes)
	for rank := range c.nodes {
		ln, err := p.transport(rank).Listen(p.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		listeners[rank] = ln
		c.nodes[rank] = Node{Rank: rank, Host: fmt.Sprintf("x%d", rank), Endpoints: []string{ln.Addr().String()}}
	}
	for rank, ln := range listeners {
		c.members = append(c.members, c.run(t, rank, ln))
	}
	t.Cleanup(func() { // all of them before any memory goes
		for _, m := range c.members {
			m.kill()
		}
	})
	return c
}

// run starts one member.
func (c *cluster) run(t testing.TB, rank int, ln net.Listener) *member {
	t.Helper()
	p := c.plan
	m := &member{}
	m.mem = memory(t, m.forget)
	cfg := Config{
		Self: rank, Nodes: c.nodes, Secret: [32]byte{1, 2, 3}, Trees: p.trees, Fanout: p.fanout,
		Memory: m.mem, Transport: p.transport(rank), Timing: p.timing,
	}
	if p.config != nil {
		p.config(&cfg)
	}
	o, err := New(cfg, p.origin(m))
	if err != nil {
		t.Fatal(err)
	}
	m.Overlay, m.store = o, store.NewStore(o, m.mem)
	var src store.Source = m.store
	if p.serve != nil {
		src = p.serve(m)
	}
	m.serving.Go(func() {
		if err := o.Serve(ln, src); err != nil {
			t.Errorf("rank %d: %v", rank, err)
		}
	})
	t.Cleanup(m.kill) // before its memory goes
	return m
}

// kill ends a member's part in the overlay, as the end of its process does.
func (m *member) kill() {
	_ = m.Close()
	m.serving.Wait()
}

// forget empties the member's tables.
func (m *member) forget() {
	if m.store != nil {
		m.store.Forget("/")
	}
}

// at is the member at a position of a tree.
func (c *cluster) at(tree, position int) *member {
	return c.members[c.members[0].forest.Rank(tree, position)]
}

// memory is a budget that must come all free when the test ends and those who hold some of it forget
// what they have.
func memory(t testing.TB, forget func()) *store.Memory {
	t.Helper()
	m, err := store.NewMemory(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !freed(m, forget) {
			t.Errorf("%d bytes were not given back", m.Use().Used)
			return // who still has them would crash
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// freed tells whether all of a memory comes free, within some seconds of calling forget: what its
// callers have left may still be on its way into a store's tables.
func freed(m *store.Memory, forget func()) bool {
	for range 5000 {
		if forget(); m.Use().Used == 0 {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// pfs makes a small file system for all members, with a directory /d of n files of some bytes.
func pfs(t testing.TB, n int) (*storetest.Tree, func(*member) store.Source) {
	var members []*member
	tree := storetest.NewTree(memory(t, func() {
		for _, m := range members {
			m.forget()
		}
	}))
	for i := range n {
		tree.Write(fmt.Sprintf("/d/f%d", i), fmt.Appendf(nil, "content of file %d", i))
	}
	return tree, func(m *member) store.Source {
		if m != nil {
			members = append(members, m)
		}
		return tree
	}
}

// stat asks a member's overlay, past its store.
func (m *member) stat(t testing.TB, path string) store.Attr {
	t.Helper()
	a, err := m.Stat(t.Context(), path, store.Version{})
	if err != nil {
		t.Errorf("stat %q on rank %d: %v", path, m.self, err)
	}
	return a
}

// virtualPair is the two ends of a connection in which nothing takes time.
func virtualPair(a, b net.Addr) (atA, atB *virtualConn) {
	return NewVirtual().pair(a, b, nil, nil)
}
