package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/copper-hpc/copper/store"
)

// asker is the child's end of a link: it sends requests and gives each its reply, in whatever
// order they come.
type asker struct {
	*link
	memory *store.Memory
	timing Timing

	// places holds one token for each request that the other end has yet to answer, whether its
	// caller still waits or not: [inFlight] at most.
	places chan struct{}
	broken chan struct{} // closed when the link is

	mu     sync.Mutex // never held while reading, writing or waiting
	err    error      // why the link is broken
	lastID uint64
	calls  map[uint64]*call // sent, and no reply has begun to arrive
}

// call is a request in flight.
//
// The chunk in its reply is the call's from the beginning, not the caller's: the reader may
// write into it until the reply is there, even when the caller has left.
type call struct {
	kind  kind
	done  chan struct{} // closed when reply and err stand
	reply reply
	err   error

	// mutable, guarded by asker.mu
	finished  bool
	abandoned bool // the caller has left: nobody takes the reply
}

// errBroken: the request was not sent, because the link has broken meanwhile or was closed.
var errBroken = errors.New("the connection has ended")

// errIdle is why a link ended that was of no use for long.
var errIdle = errors.New("the connection was idle")

func newAsker(l *link, memory *store.Memory, timing Timing) *asker {
	return &asker{
		link: l, memory: memory, timing: timing,
		places: make(chan struct{}, inFlight[l.channel]),
		broken: make(chan struct{}),
		calls:  make(map[uint64]*call),
	}
}

// ask sends a request and waits for its reply for as long as the other end is alive. An error is
// ctx's, the own memory's, errBroken, or why the link broke.
//
// Room for the data of a chunk is taken before the request is sent. The reader never waits for
// memory therefore; if it did, two nodes that are each other's parents in two trees could wait for
// one another for ever.
func (a *asker) ask(ctx context.Context, q request) (reply, error) {
	select {
	case a.places <- struct{}{}:
	case <-a.broken:
		return reply{}, errBroken
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
	c := &call{kind: q.kind, done: make(chan struct{})}
	if q.kind == kindReadChunk {
		chunk, err := a.memory.Chunk(ctx, q.room)
		if err != nil {
			<-a.places
			return reply{}, err
		}
		c.reply.data = chunk
	}
	id, ok := a.register(c)
	if !ok {
		c.release()
		<-a.places
		return reply{}, errBroken
	}
	payload := q.append(make([]byte, 0, 128))
	a.out.send(a.header(q.kind, 0, statusOK, id), payload, nil)
	select {
	case <-c.done:
	case <-ctx.Done():
		if a.abandon(c) {
			a.out.post(a.header(kindCancel, 0, statusOK, id))
			return reply{}, ctx.Err()
		}
		<-c.done
	}
	return c.reply, c.err
}

func (a *asker) register(c *call) (id uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, false
	}
	a.lastID++
	a.calls[a.lastID] = c
	return a.lastID, true
}

// abandon lets the caller leave, unless the reply is there already.
func (a *asker) abandon(c *call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.abandoned = !c.finished
	return c.abandoned
}

// run reads replies until the link breaks, and fails what is in flight then.
func (a *asker) run() {
	for {
		if err := a.receive(); err != nil {
			a.fail(a.cause(err))
			a.out.close()
			return
		}
	}
}

// receive reads one frame. From claim to finish the call is the reader's.
func (a *asker) receive() error {
	h, err := a.next()
	if err != nil {
		return err
	}
	if h.flags&flagReply == 0 {
		return fmt.Errorf("a %s request from a parent", h.kind)
	}
	if h.kind == kindPing && h.length == 0 {
		return nil // it has come: that is all that was asked
	}
	c := a.claim(h.id)
	if c == nil {
		return fmt.Errorf("a %s reply that nobody asked for", h.kind)
	}
	err = a.fill(c, h)
	a.finish(c, err)
	return err
}

// claim takes a call off those that fail at once when the link breaks.
func (a *asker) claim(id uint64) *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.calls[id]
	delete(a.calls, id)
	return c
}

func (a *asker) fill(c *call, h header) (err error) {
	if h.kind != c.kind {
		return fmt.Errorf("a %s reply to a %s request", h.kind, c.kind)
	}
	c.reply.status = h.status
	switch {
	case h.status != statusOK:
		c.reply.payload, err = a.payload(h, maxProblem)
	case h.kind == kindReadChunk:
		err = a.fillChunk(c, h)
	default:
		c.reply.payload, err = a.payload(h, kinds[h.kind].reply)
	}
	return err
}

func (a *asker) fillChunk(c *call, h header) error {
	place := c.reply.data.Bytes()
	if c.reply.length = h.length - chunkHeader; c.reply.length <= 0 {
		return fmt.Errorf("a chunk in a frame of %d bytes", h.length)
	}
	form, err := a.in.Peek(chunkHeader)
	if err != nil {
		return err
	}
	if c.reply.form, err = decodeForm(form, c.reply.length, len(place)); err != nil {
		return err
	}
	_, _ = a.in.Discard(chunkHeader) // peeked at, so it is there
	_, err = io.ReadFull(a.in, place[:c.reply.length])
	return err
}

// finish hands the reply to the caller, or drops it if nobody waits.
func (a *asker) finish(c *call, err error) {
	a.mu.Lock()
	c.finished = true
	abandoned := c.abandoned
	if err != nil && a.err != nil {
		err = a.err // the link broke first; what the reader met is a consequence
	}
	a.mu.Unlock()
	if c.err = err; abandoned || err != nil || c.reply.status != statusOK {
		c.release()
	}
	close(c.done)
	<-a.places
}

func (c *call) release() {
	if c.reply.data != nil {
		c.reply.data.Release()
		c.reply.data = nil
	}
}

// fail breaks the link, and what is in flight with it.
func (a *asker) fail(err error) {
	a.mu.Lock()
	first := a.err == nil
	if first {
		a.err = err
	}
	a.mu.Unlock()
	if first {
		a.end()
	}
}

// retire ends the link if nothing is in flight.
func (a *asker) retire() bool {
	a.mu.Lock()
	quiet := a.err == nil && len(a.places) == 0
	if quiet {
		a.err = errIdle
	}
	a.mu.Unlock()
	if quiet {
		a.end()
	}
	return quiet
}

// end closes a link that has got its err, and fails what is in flight, but for a call that the
// reader has claimed: that fails by its own reading.
func (a *asker) end() {
	close(a.broken)
	_ = a.conn.Close() // nothing is written that could be lost by now
	a.mu.Lock()
	calls := a.calls
	a.calls = nil
	a.mu.Unlock()
	for _, c := range calls {
		a.finish(c, a.err)
	}
}

// watch sees to it that a dead peer is noticed while somebody waits for it, and ends a link that
// is of no use. It returns when the link breaks.
func (a *asker) watch() {
	ticker := time.NewTicker(a.timing.Ping)
	defer ticker.Stop()
	missed, idle := 0, time.Duration(0)
	received := a.received.Load()
	for {
		select {
		case <-ticker.C:
		case <-a.broken:
			return
		}
		if now := a.received.Load(); now != received {
			received, missed = now, 0
		}
		if len(a.places) == 0 {
			if missed, idle = 0, idle+a.timing.Ping; idle >= a.timing.Idle && a.retire() {
				return
			}
			continue
		}
		if a.out.busy() {
			missed = 0 // pings wait behind what is being written, which has a bound of its own
		}
		if missed == missedPings {
			a.fail(fmt.Errorf("%d pings in %s brought no sign of life", missed, missedPings*a.timing.Ping))
			return
		}
		a.out.post(a.header(kindPing, 0, statusOK, 0))
		missed, idle = missed+1, 0
	}
}

// ended tells whether the link is broken.
func (a *asker) ended() bool {
	select {
	case <-a.broken:
		return true
	default:
		return false
	}
}
