package fabric

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	// maxConns bounds an endpoint's connections, with those that nobody has accepted yet.
	maxConns = 4096
	// maxIdlePeers is how many peers are kept to whom there is no connection.
	maxIdlePeers = 256

	// patience is for how long run waits for completions, in ms; impatience that at first when
	// the provider has to be asked again.
	patience   = 100
	impatience = 1
	// maxYields is how often run lets others go on and looks for more, after completions, before it waits: while it
	// waits in C, its processor is not to be had back quickly for those whom it woke. A stat takes a third of the time.
	maxYields = 4
)

// endpoint is one of libfabric's endpoints, with its connections. A goroutine of its own makes the progress; where
// the provider doesn't progress by itself, as over CXI, nothing happens without it.
type endpoint struct {
	// constant
	log   *slog.Logger
	at    site
	name  Addr
	port  *port
	arena *arena
	done  chan struct{} // closed when all is given back

	// of run alone
	post    []uint32 // places to receive at
	events  []event
	dropped int // messages

	// mu is taken last: no other lock under it.
	mu       sync.Mutex
	listener *listener
	conns    map[uint64]*conn // by their numbers
	arrivals map[arrival]*conn
	peers    map[string]*peer // by their identities
	windows  int              // bytes that connections may have unread beyond minWindow
	owing    []*conn          // they have something to say and found no packet
	stalled  []*peer
	ending   bool
	end      time.Time // when it does no matter what is under way, if it is ending
	shutting bool      // the port must not be used any more
}

// arrival is what tells one connection that comes from another.
type arrival struct {
	peer   string // its identity
	number uint64
}

// open opens an endpoint. It ends when it has neither a listener nor connections, for which it must have one first.
func open(log *slog.Logger, at site) (*endpoint, error) {
	p, err := openPort(at)
	if err != nil {
		return nil, err
	}
	a, err := newArena(p.limits)
	if err != nil {
		p.close()
		return nil, err
	}
	if err := p.enable(a); err != nil {
		p.close()
		a.close()
		return nil, err
	}
	e := &endpoint{
		log: log, at: at, name: Addr(format(at.scheme, p.address)), port: p, arena: a, done: make(chan struct{}),
		post:  a.receive,
		conns: make(map[uint64]*conn), arrivals: make(map[arrival]*conn), peers: make(map[string]*peer),
	}
	go e.run()
	return e, nil
}

// run makes the progress. It is the only goroutine that waits in libfabric. It has no thread to itself (to libfabric,
// with FI_THREAD_SAFE, they are all alike), so that those whom a message wakes can go on in its place.
func (e *endpoint) run() {
	defer close(e.done)
	wait, yields := patience, 0
	var err error
	for err == nil && !e.ended() {
		now := wait
		if yields > 0 {
			yields--
			now = 0
			runtime.Gosched()
		}
		e.post, e.events, err = e.port.poll(e.post, now, e.events)
		if len(e.events) > 0 {
			yields = maxYields
		}
		for _, ev := range e.events {
			e.complete(ev)
		}
		e.flushOwing()
		switch stalled, moved := e.retry(); {
		case stalled == 0:
			wait = patience
		case moved || wait == patience:
			wait = impatience
		default:
			wait = min(2*wait, patience/2)
		}
		if e.port.limits.deaf {
			wait = min(wait, patience/10)
		}
	}
	e.shut(err)
}

// shut breaks what is left and gives all back.
func (e *endpoint) shut(err error) {
	if err != nil {
		err = fmt.Errorf("%s: %w", e.name, err)
		e.log.Warn("an endpoint ended", "err", err)
	} else {
		err = net.ErrClosed
	}
	e.mu.Lock()
	e.ending = true
	l := e.listener
	e.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	for _, c := range e.all() {
		c.fail(err)
	}
	e.mu.Lock()
	peers := e.peers
	e.peers, e.shutting = nil, true
	e.mu.Unlock()
	for _, p := range peers {
		p.close()
	}
	e.port.close()
	for _, k := range e.arena.packets {
		if k.flying { // its end will not be told any more
			e.arena.give(k)
		}
	}
	e.arena.close()
}

// ended tells whether nothing is left to do.
func (e *endpoint) ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ending {
		return false
	}
	if time.Now().After(e.end) {
		return true
	}
	for _, p := range e.peers {
		if p.busy.Load() > 0 {
			return false
		}
	}
	return len(e.conns) == 0
}

// stop ends the endpoint and closes its connections. What was written gets some time to leave.
func (e *endpoint) stop(within time.Duration) {
	e.mu.Lock()
	e.ending = true
	e.end = time.Now().Add(within)
	l := e.listener
	e.mu.Unlock()
	if l != nil {
		_ = l.Close() // its only failure is to be closed already
	}
	for _, c := range e.all() {
		_ = c.Close() // it can't fail
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wake()
}

// wake ends run's wait. Called with mu.
func (e *endpoint) wake() {
	if !e.shutting {
		e.port.wake()
	}
}

// endIfUnused ends the endpoint if nobody has anything of it. Called with mu.
func (e *endpoint) endIfUnused() {
	if !e.ending && e.listener == nil && len(e.conns) == 0 {
		e.ending = true
		e.end = time.Now().Add(time.Second)
		e.wake()
	}
}

func (e *endpoint) all() []*conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*conn, 0, len(e.conns))
	for _, c := range e.conns {
		all = append(all, c)
	}
	return all
}

// complete handles the end of an operation.
func (e *endpoint) complete(ev event) {
	if k := e.arena.packet(ev.place); k != nil {
		p := k.peer
		p.landed(k)
		if ev.err != nil {
			e.lose(p, ev.err)
		}
		return
	}
	if int(ev.place) >= len(e.arena.receive) {
		e.drop("no message", ev.err)
		return
	}
	if ev.err != nil {
		e.drop("a message did not come whole", ev.err)
	} else {
		e.receive(ev.tag, e.arena.received(ev))
	}
	e.post = append(e.post, ev.place)
}

// drop counts a message that nobody gets, and tells of the first, the tenth, the hundredth …
func (e *endpoint) drop(what string, err error) {
	e.dropped++
	n := e.dropped
	for n%10 == 0 {
		n /= 10
	}
	if n == 1 {
		e.log.Warn("dropped a message", "at", e.name, "what", what, "err", err, "dropped", e.dropped)
	}
}

// receive gives a message to its connection.
func (e *endpoint) receive(tag uint64, message []byte) {
	h, data, err := decode(message)
	if err != nil {
		e.drop("a message", err)
		return
	}
	if tag == tagConnect {
		if h.kind == kindConnect {
			e.arrive(h)
		} else {
			e.drop("a message to nobody", nil)
		}
		return
	}
	e.mu.Lock()
	c := e.conns[tag]
	e.mu.Unlock()
	if c == nil {
		e.stray(tag, h)
		return
	}
	switch err := c.receive(h, data); {
	case errors.Is(err, errForeign):
		e.drop("a message of somebody else", err)
	case err != nil:
		e.drop("a message out of turn", err)
		c.abort(err)
		return
	}
	c.follow()
}
