package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Config says who this node is, who the others are, and how to reach them. All nodes of a job must
// agree on Nodes, Secret, Encrypt, Trees and Fanout: a node that doesn't is refused by the others.
type Config struct {
	Self   int    // this node's rank
	Nodes  []Node // the roster, by rank
	Secret [32]byte
	// Encrypt puts all connections under TLS 1.3. Without it the nodes still authenticate each
	// other, and whoever can read the network's packets can read the data.
	Encrypt bool

	Trees, Fanout int // 0: automatic
	// Forest is the trees, if they are planned already: many overlays in one process may share
	// them. Trees and Fanout don't count then.
	Forest *Forest

	Memory    *store.Memory // where file data is received
	Transport Transport     // nil: TCP
	Timing    Timing
	Log       *slog.Logger // nil: nothing is logged

	// Compression, if set, is told what the links to the children carry. It does its work where the
	// origin asks it.
	Compression *Compression

	// Local, if set, tells whether a path can only be answered by this node itself.
	Local func(path string) bool

	// OnFirst, if set, is called once: when a parent has answered for the first time, with what it
	// was asked: lstat, readfile or readdir.
	OnFirst func(op string)
}

// Timing is what liveness goes by. A zero field has its default.
type Timing struct {
	// Ping is the interval at which a peer that is waited for is pinged. From which nothing comes for
	// three of them has failed. 1 s.
	Ping time.Duration
	// Dial bounds the making of a connection, handshake included. 3 s.
	Dial time.Duration
	// Handshake bounds the time that a stranger may take to prove that it knows the secret. 5 s.
	Handshake time.Duration
	// Write bounds one write, of several chunks at most. 30 s.
	Write time.Duration
	// Idle is when a connection without requests is closed. 1 min.
	Idle time.Duration
	// Retry is when a suspect is first probed, and for how long others are preferred to a slow peer; it
	// doubles with every failure, up to MaxRetry. 1 s and 1 min.
	Retry, MaxRetry time.Duration
	// Hedge is the least time after which a question is put to another node as well, when the peer that
	// was asked is alive but has not answered. 250 ms.
	Hedge time.Duration
}

func (t Timing) withDefaults() Timing {
	for _, setting := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&t.Ping, time.Second},
		{&t.Dial, 3 * time.Second},
		{&t.Handshake, 5 * time.Second},
		{&t.Write, 30 * time.Second},
		{&t.Idle, time.Minute},
		{&t.Retry, time.Second},
		{&t.MaxRetry, time.Minute},
		{&t.Hedge, 250 * time.Millisecond},
	} {
		if *setting.value <= 0 {
			*setting.value = setting.standard
		}
	}
	return t
}

// silence is when a parent takes a child that sends nothing for gone. The child pings while it
// waits and closes its idle connections itself, well before.
func (t Timing) silence() time.Duration { return 2*t.Idle + missedPings*t.Ping }

// Overlay is one node's part in the overlay: towards its store the [store.Source] that asks
// upwards, towards its children the server that [Overlay.Serve] runs.
type Overlay struct {
	// constant
	self        int
	nodes       []Node
	secret      [32]byte
	encrypt     bool
	forest      *Forest
	origin      store.Source
	memory      *store.Memory
	compression *Compression
	transport   Transport
	local       func(path string) bool
	timing      Timing
	log         *slog.Logger
	born        time.Time

	ctx    context.Context // done when the overlay is closed
	cancel context.CancelFunc
	first  func(op string) // calls Config.OnFirst, once

	answering atomic.Pointer[answering] // nil until Handle is called

	traffic   traffic
	pace      pace
	solitude  solitude
	gathering gathering // the control requests being put to this node and others
	strangers *strangers
	children  *children

	mu      sync.Mutex    // may be taken with a line's held, not the other way round
	peers   map[int]*peer // by rank; those that were ever asked
	closed  bool
	running sync.WaitGroup // all goroutines
}

// errClosed: the overlay was closed.
var errClosed = errors.New("the overlay is closed")

// New makes a node's overlay, which asks origin where the node is the root of a tree and where
// nobody else can be asked. It starts nothing: connections are made when they are needed.
func New(cfg Config, origin store.Source) (*Overlay, error) {
	forest := cfg.Forest
	if forest == nil {
		var err error
		if forest, err = NewForest(cfg.Nodes, cfg.Trees, cfg.Fanout); err != nil {
			return nil, err
		}
	}
	switch {
	case forest.nodes != len(cfg.Nodes):
		return nil, fmt.Errorf("the trees have %d nodes and the roster %d", forest.nodes, len(cfg.Nodes))
	case cfg.Self < 0 || cfg.Self >= len(cfg.Nodes):
		return nil, fmt.Errorf("rank %d is not in a roster of %d", cfg.Self, len(cfg.Nodes))
	case origin == nil || cfg.Memory == nil:
		return nil, errors.New("an overlay needs an origin and a memory")
	}
	for _, node := range cfg.Nodes {
		if node.Rank != cfg.Self && len(node.Endpoints) == 0 {
			return nil, fmt.Errorf("rank %d (host %s) has no endpoint", node.Rank, node.Host)
		}
	}
	o := &Overlay{
		self: cfg.Self, nodes: cfg.Nodes, secret: cfg.Secret, encrypt: cfg.Encrypt, forest: forest,
		origin: origin, memory: cfg.Memory, transport: cfg.Transport, local: cfg.Local,
		compression: cfg.Compression,
		timing:      cfg.Timing.withDefaults(), log: cfg.Log, born: time.Now(),
		first:   func(string) {},
		traffic: traffic{trees: make([]treeTraffic, forest.trees)},
		peers:   make(map[int]*peer),

		strangers: newStrangers(),
		children:  newChildren(cfg.Memory.Use().Limit),
	}
	if o.transport == nil {
		o.transport = TCP{}
	}
	if o.local == nil {
		o.local = func(string) bool { return false }
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnFirst != nil {
		var once sync.Once
		o.first = func(op string) { once.Do(func() { cfg.OnFirst(op) }) }
	}
	o.pace.init(o.timing)
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o, nil
}

// Forest is the trees of the job.
func (o *Overlay) Forest() *Forest { return o.forest }

// clock is a time that only goes forward, whatever is done to that of the host.
func (o *Overlay) clock() time.Duration { return time.Since(o.born) }

// Close ends all connections and waits until every goroutine of the overlay has ended. Questions
// asked of it from then on go to the origin.
func (o *Overlay) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.cancel()
	o.running.Wait()
	return nil
}

// start runs f in a goroutine that Close waits for, unless the overlay is closed.
func (o *Overlay) start(f func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.running.Go(f)
	return true
}

// peer is the node of that rank, which isn't this one.
func (o *Overlay) peer(rank int) *peer {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.peers[rank]
	if p == nil {
		p = newPeer(o, o.nodes[rank])
		o.peers[rank] = p
	}
	return p
}

// known is the peers that were ever asked.
func (o *Overlay) known() []*peer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Values(o.peers))
}

// hello is what this node says to a peer when it connects.
func (o *Overlay) hello(to, tree int, c channel) hello {
	return hello{
		version: protocolVersion, channel: c, encrypted: o.encrypt, from: o.self, to: to,
		tree: tree, fingerprint: o.forest.fingerprint,
	}
}
