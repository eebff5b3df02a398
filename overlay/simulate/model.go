package simulate

import (
	"time"

	"github.com/copper-hpc/copper/overlay"
)

// model is a job as events instead of goroutines: the same trees, the same arithmetic of links and of
// the PFS, and for each node what its store and its overlay would do, without their code.
type model struct {
	plan    Plan
	objects *objects
	trees   []int32 // of the objects
	parents []int32 // by tree and rank; -1 for the root
	nodes   []modelNode
	count   int // of nodes
	events  events
	now     int64
	server  server
	opened  map[[2]int32]bool // by node and file
	asked   []bool            // by object: the PFS has been asked
	last    int64             // when the last process was done
	done    int64             // steps

	// state is what each node knows of each object: nothing, that it is under way, or all.
	state   []int32
	waiters []waiter
	unused  int32 // the first of a list of waiters to use again; -1: none
}

// A state is one of these, or inFlight+1 plus the place of the first waiter.
const (
	unknown  = 0
	known    = 1
	inFlight = 2
)

// waiter is who waits for an object at a node.
type waiter struct {
	role   role
	who    int32
	object int32 // that the waiter is after in the end
	next   int32
}

type role uint8

const (
	nobody  role = iota // it is read ahead
	process             // who is its number on the node
	child               // who is its rank
	retries             // the object is asked for again, for who as a child or a process: a listing may tell
	retriesFor
	ends // the object's absence is known, and now the listing of its directory as well
)

type modelNode struct {
	out, in, work, pfs overlay.Lane
	sent               int64
	lines              [2][]uint64 // bits by tree: connections that are there, small and bulk
	next               int32       // step
	last, ahead        int32       // the chunk that was read last, and that up to which is read ahead
	running            int32
}

// windowChunks is store.Readahead's window.
const windowChunks = 8

// forester is what a model wants to know of an [overlay.Forest].
type forester interface {
	Trees() int
	Tree(path string) int
	TreeOfChunk(path string, index int64) int
	Bulk(length int) bool
	Parent(tree, rank int) (parent int, ok bool)
	BulkParent(tree, rank int) (parent int, ok bool)
}

// runModel runs the manifest on n nodes of the model.
func runModel(p Plan, w *World, n int, forest forester, progress func(done, of int64)) outcome {
	m := &model{plan: p, objects: newObjects(w), nodes: make([]modelNode, n), count: n,
		server: server{PFS: p.PFS}, opened: map[[2]int32]bool{}, unused: -1}
	m.trees = m.objects.trees(forest)
	m.asked = make([]bool, len(m.objects.all))
	m.state = make([]int32, n*len(m.objects.all))
	for i := range m.objects.all { // the trees of bulk data come after the others
		if c := &m.objects.all[i]; c.kind == chunk && forest.Bulk(c.data) {
			m.trees[i] += int32(forest.Trees())
		}
	}
	m.parents = make([]int32, 0, 2*forest.Trees()*n)
	for _, up := range []func(tree, rank int) (int, bool){forest.Parent, forest.BulkParent} {
		for t := range forest.Trees() {
			for rank := range n {
				parent, ok := up(t, rank)
				if !ok {
					parent = -1
				}
				m.parents = append(m.parents, int32(parent))
			}
		}
	}
	processes := max(p.InFlight, 1)
	for rank := range m.nodes {
		for c := range m.nodes[rank].lines {
			m.nodes[rank].lines[c] = make([]uint64, (2*forest.Trees()+63)/64)
		}
		m.nodes[rank].running = int32(processes)
		for i := range processes {
			m.proceed(int32(rank), int32(i))
		}
	}
	for len(m.events.heap) > 0 {
		e := m.events.next()
		m.now = e.at
		switch e.what {
		case proceeds:
			if m.done++; m.done%progressStep == 0 {
				progress(m.done, int64(n*len(m.objects.steps)))
			}
			m.want(e.node, e.object, process, e.who)
		case asked:
			m.want(e.node, e.object, child, e.who)
		case landed:
			m.land(e.node, e.object)
		}
	}
	o := outcome{took: time.Duration(m.last), pfs: m.server.count}
	for i := range m.nodes {
		o.sent = append(o.sent, m.nodes[i].sent)
	}
	return o
}

// proceed lets a process of a node begin its next step, or end.
func (m *model) proceed(n, number int32) {
	node := &m.nodes[n]
	if int(node.next) == len(m.objects.steps) {
		if node.running--; node.running == 0 {
			m.last = max(m.last, m.now)
		}
		return
	}
	s := m.objects.steps[node.next]
	node.next++
	at := m.now
	if s.begins {
		at += int64(m.plan.Access)
	}
	m.events.add(at, proceeds, n, s.object, number)
}

func (m *model) at(n, o int32) *int32 { return &m.state[int(n)*len(m.objects.all)+int(o)] }

// want is a question for an object, put to the store of a node.
func (m *model) want(n, o int32, r role, who int32) {
	c := &m.objects.all[o]
	if r == process && c.kind == chunk {
		m.readAhead(n, o)
	}
	state := m.at(n, o)
	switch {
	case *state == known:
		m.give(n, o, r, who)
		return
	case *state >= inFlight:
		m.wait(state, waiter{role: r, who: who, object: o})
		return
	case c.listing >= 0:
		switch l := m.at(n, c.listing); {
		case *l == known && c.kind == absence:
			m.give(n, o, r, who)
			return
		case *l >= inFlight:
			again := retries
			if r == child {
				again = retriesFor
			}
			m.wait(l, waiter{role: again, who: who, object: o})
			return
		}
	}
	*state = inFlight
	m.wait(state, waiter{role: r, who: who, object: o})
	m.askAbove(n, o)
}

func (m *model) wait(state *int32, w waiter) {
	if *state > inFlight {
		w.next = *state - inFlight - 1
	} else {
		w.next = -1
	}
	place := m.unused
	if place >= 0 {
		m.unused = m.waiters[place].next
		m.waiters[place] = w
	} else {
		place = int32(len(m.waiters))
		m.waiters = append(m.waiters, w)
	}
	*state = place + inFlight + 1
}

// readAhead asks for the chunks that follow one that is read, as store.Readahead does for a file
// that is read from front to back.
func (m *model) readAhead(n, o int32) {
	node := &m.nodes[n]
	c := &m.objects.all[o]
	last := &m.objects.all[node.last]
	switch {
	case c.index == 0:
		node.ahead = o
	case last.file == c.file && c.index == last.index:
		return
	case last.file == c.file && c.index == last.index+1:
		if m.objects.all[node.ahead].index < c.index {
			node.ahead = o
		}
	default:
		node.last, node.ahead = o, o
		return
	}
	node.last = o
	for {
		a := &m.objects.all[node.ahead]
		if a.next < 0 || a.index >= c.index+windowChunks {
			return
		}
		node.ahead = a.next
		m.want(n, a.next, nobody, 0)
	}
}

// askAbove sends a node's question to its parent, or to the PFS where it is the root.
func (m *model) askAbove(n, o int32) {
	c := &m.objects.all[o]
	tree := m.trees[o]
	parent := m.parents[int(tree)*m.count+int(n)]
	if parent < 0 {
		m.askPFS(n, o)
		return
	}
	at := m.now
	line := 0
	if c.kind == chunk || c.kind == listing {
		line = 1
	}
	word, bit := &m.nodes[n].lines[line][tree/64], uint64(1)<<(tree%64)
	if *word&bit == 0 { // a connection is made: two messages and the handshake's first two
		*word |= bit
		at += int64(4*m.plan.Wire.Latency + 2*m.plan.Wire.Handling)
	}
	m.events.add(m.send(n, parent, at, c.request), asked, parent, o, n)
}

// send is when a message arrives.
func (m *model) send(from, to int32, at int64, bytes int) int64 {
	a, b := &m.nodes[from], &m.nodes[to]
	a.sent += int64(bytes)
	return m.plan.Wire.Deliver(&a.out, &b.in, &b.work, at, bytes, 0)
}

func (m *model) askPFS(n, o int32) {
	c := &m.objects.all[o]
	count := &m.server.count
	if m.asked[o] {
		count.Repeated++
	}
	m.asked[o] = true
	at := m.now
	switch c.kind {
	case attr, absence:
		count.Stat++
	case listing:
		count.List++
	case link:
		count.ReadLink++
	case chunk:
		count.Read++
		count.Bytes += int64(c.data)
		if file := [2]int32{n, c.file}; !m.opened[file] {
			m.opened[file] = true
			count.Open++
			at = m.server.operation(at)
		}
		m.events.add(m.server.read(at, &m.nodes[n].pfs, c.data), landed, n, o, 0)
		return
	}
	m.events.add(m.server.operation(at), landed, n, o, 0)
}

// land is the answer to a node's question. The store that learns of an absence wants to know the
// whole directory.
func (m *model) land(n, o int32) {
	if c := &m.objects.all[o]; c.kind == absence && c.listing >= 0 && *m.at(n, c.listing) != known {
		m.want(n, c.listing, ends, o)
		return
	}
	m.finish(n, o)
}

// finish tells all who wait.
func (m *model) finish(n, o int32) {
	state := m.at(n, o)
	place := *state - inFlight - 1
	*state = known
	var first int32 = -1
	for place >= 0 { // who came first is answered first
		w := &m.waiters[place]
		w.next, first, place = first, place, w.next
	}
	for first >= 0 {
		w := m.waiters[first]
		m.waiters[first].next, m.unused = m.unused, first
		first = w.next
		switch w.role {
		case retries:
			m.want(n, w.object, process, w.who)
		case retriesFor:
			m.want(n, w.object, child, w.who)
		case ends:
			m.finish(n, w.who)
		default:
			m.give(n, o, w.role, w.who)
		}
	}
}

// give answers one who asked.
func (m *model) give(n, o int32, r role, who int32) {
	c := &m.objects.all[o]
	switch r {
	case process:
		m.proceed(n, who)
	case ends:
		m.finish(n, who)
	case child:
		at := m.send(n, who, m.now, c.reply)
		if c.data > 0 {
			at = max(at, m.send(n, who, m.now, c.data))
		}
		m.events.add(at, landed, who, o, 0)
	}
}
