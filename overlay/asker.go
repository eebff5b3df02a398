package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/store"
)

// asker is the child's end of a link: it sends requests and gives each its reply, in whatever
// order they come.
type asker struct {
	*link
	memory *store.Memory
	timing Timing
	born   time.Time

	// places holds one token for each request that the other end has yet to answer, whether its
	// caller still waits or not: [inFlight] at most.
	places chan struct{}
	broken chan struct{} // closed when the link is

	replied atomic.Int64 // when the latest reply came: nanoseconds since born; 0: none has

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
	asked time.Time
	done  chan struct{} // takes a word when the reply is late; closed when reply and err stand
	reply reply
	err   error

	// mutable, guarded by asker.mu
	finished  bool
	abandoned bool // the caller has left: nobody takes the reply
}

// errBroken: the request was not sent, because the link has broken meanwhile or was closed.
var errBroken = errors.New("the connection has ended")

// errOvertaken: the caller has its answer from somebody else.
var errOvertaken = errors.New("somebody else has answered first")

// errIdle is why a link ended that was of no use for long.
var errIdle = errors.New("the connection was idle")

func newAsker(l *link, memory *store.Memory, timing Timing) *asker {
	return &asker{
		link: l, memory: memory, timing: timing, born: time.Now(),
		places: make(chan struct{}, inFlight[l.channel]),
		broken: make(chan struct{}),
		calls:  make(map[uint64]*call),
	}
}

// ask sends a request and waits for its reply for as long as the other end is alive. An error is
// ctx's, the own memory's, errBroken, or why the link broke.
func (a *asker) ask(ctx context.Context, q request) (reply, error) {
	return a.askOr(ctx, q, nil)
}

// askOr asks, and calls overdue when the reply is late, until that returns a channel: should that be
// closed before the reply is there, the request is given up with errOvertaken.
//
// Room for the data of a chunk is taken before the request is sent. The reader never waits for
// memory therefore; if it did, two nodes that are each other's parents in two trees could wait for
// one another for ever.
func (a *asker) askOr(ctx context.Context, q request, overdue func() <-chan struct{}) (reply, error) {
	select {
	case a.places <- struct{}{}:
	case <-a.broken:
		return reply{}, errBroken
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
	c := &call{kind: q.kind, asked: time.Now(), done: make(chan struct{}, 1)}
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
	err := c.wait(ctx, overdue)
	if err != nil && a.abandon(c) {
		a.out.post(a.header(kindCancel, 0, statusOK, id))
		return reply{}, err
	}
	for range c.done { // until it is closed
	}
	return c.reply, c.err
}

// wait returns nil when the reply is there, or why it isn't waited for any more.
func (c *call) wait(ctx context.Context, overdue func() <-chan struct{}) error {
	var overtaken <-chan struct{}
	for {
		select {
		case _, late := <-c.done:
			if !late {
				return nil
			}
			if overdue != nil && overtaken == nil {
				overtaken = overdue()
			}
		case <-overtaken:
			return errOvertaken
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
	now := time.Now()
	c.reply.took = now.Sub(c.asked)
	if err == nil {
		a.replied.Store(int64(now.Sub(a.born)) + 1)
	}
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

// remind tells the callers whose answers are late, by their kind, and returns when the oldest request was
// sent to which no reply has begun to arrive; the zero Time if there is none.
func (a *asker) remind(now time.Time, late func(kind) time.Duration) (oldest time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if oldest.IsZero() || c.asked.Before(oldest) {
			oldest = c.asked
		}
		if !c.abandoned && now.Sub(c.asked) >= late(c.kind) {
			select {
			case c.done <- struct{}{}: // not closed: that comes after the call is claimed
			default: // it has been told
			}
		}
	}
	return oldest
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
