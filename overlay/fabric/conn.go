package fabric

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// minWindow is how many bytes a connection's peer may send that are not read yet, and maxWindow what becomes
	// of it where they are read quickly.
	minWindow = 64 << 10
	maxWindow = 2 << 20
	// windows is the sum of all windows of an endpoint beyond which none grows, in bytes.
	windows = 256 << 20

	// linger is how long what was written before Close has to be taken by the peer.
	linger = 5 * time.Second
)

// conn is an end of a connection.
type conn struct {
	// constant
	ep            *endpoint
	peer          *peer
	number        uint64 // the tag of what comes
	dialled       bool
	local, remote Addr
	from          arrival // where it was dialled, if not here

	writing  sync.Mutex // held for a whole Write: two don't mix
	flushing sync.Mutex // held for each message of flush: they keep their order

	sent    uint32 // messages; protected by the peer's lock
	dropped bool   // nothing more is sent; protected by the peer's lock
	waiting bool   // for a packet; protected by the arena's
	owing   bool   // in the endpoint's list; protected by the endpoint's
	removed bool   // from the endpoint's tables; protected by the endpoint's
	extra   int    // bytes of its window beyond minWindow; protected by the endpoint's

	mu       sync.Mutex // the endpoint's and the arena's may be taken under it
	readable waiter
	writable waiter
	theirs   uint64 // the peer's number; 0 while it is dialled
	received uint32 // messages
	early    early
	in       inbox
	window   int // bytes
	allowed  int // bytes that may still come
	owed     int // bytes that were read and not allowed again yet
	grown    int // bytes that were read since the window grew
	credit   int // bytes that may still be sent
	later    int // those that may be sent when the peer knows that it is accepted
	say      says
	err      error // why it broke
	ended    bool  // the peer closed its end
	closed   bool  // Close was called
	timer    *time.Timer
}

// Addr is an endpoint.
type Addr string

// Network is the endpoint's scheme.
func (a Addr) Network() string { scheme, _, _, _ := split(string(a)); return scheme }

func (a Addr) String() string { return string(a) }

// wake has all who wait look again.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeAll()
}

func (c *conn) wakeAll() {
	c.readable.cond.Broadcast()
	c.writable.cond.Broadcast()
}

// opened waits until the peer has accepted or refused, or ctx is done.
func (c *conn) opened(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.wake)
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.theirs == 0 && c.err == nil && ctx.Err() == nil {
		c.readable.cond.Wait()
	}
	if c.err != nil {
		return c.err
	}
	if c.theirs == 0 {
		return ctx.Err()
	}
	return nil
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // it is never wrapped
		err = c.failed("read", err)
	}
	return n, err
}

func (c *conn) read(p []byte) (n int, err error) {
	c.mu.Lock()
	for n == 0 && err == nil {
		switch {
		case c.closed:
			err = net.ErrClosed
		case c.readable.passed():
			err = os.ErrDeadlineExceeded
		case len(p) == 0:
			c.mu.Unlock()
			return 0, nil
		case c.in.length > 0:
			n = c.in.read(p)
			c.consumed(n)
		case c.ended:
			err = io.EOF
		case c.err != nil:
			err = c.err
		default:
			c.readable.wait(c.wake)
		}
	}
	say := c.say
	c.mu.Unlock()
	if say != 0 {
		c.flush()
	}
	return n, err
}

// consumed makes room for as much as was read, and for more if that was read as fast as it came. Called with mu.
func (c *conn) consumed(n int) {
	c.owed += n
	c.grown += n
	if c.grown >= c.window && c.window < maxWindow && c.ep.grow(c, c.window) {
		c.owed += c.window
		c.window *= 2
		c.grown = 0
	}
	if c.owed >= c.window/4 && c.err == nil && !c.ended {
		c.say |= sayCredit
	}
}

// grant is what is owed, from now on allowed. Called with mu.
func (c *conn) grant() uint32 {
	n := c.owed
	c.allowed += n
	c.owed = 0
	c.say &^= sayCredit
	return uint32(n)
}

func (c *conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for {
		k, h, err := c.room(len(p) - n)
		if err != nil {
			return n, c.failed("write", err)
		}
		if k == nil {
			return n, nil
		}
		at := fixedHeader + len(c.ep.port.address)
		n += copy(k.memory[at:k.length], p[n:])
		c.peer.post(k, h)
		if n == len(p) {
			return n, nil
		}
	}
}

// room waits until something of so many bytes can be sent, and returns a packet of the length of how much. It is nil
// for no bytes.
func (c *conn) room(bytes int) (*packet, header, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return nil, header{}, net.ErrClosed
		case c.writable.passed():
			return nil, header{}, os.ErrDeadlineExceeded
		case c.err != nil:
			return nil, header{}, c.err
		case c.ended:
			return nil, header{}, syscall.EPIPE
		case bytes == 0:
			return nil, header{}, nil
		case c.credit > 0:
			n := min(bytes, c.credit, maxData)
			k := c.ep.arena.take(c, n)
			if k == nil {
				break
			}
			c.credit -= n
			k.tag, k.length = c.theirs, fixedHeader+len(c.ep.port.address)+n
			return k, header{kind: kindData, from: c.number, grant: c.grant()}, nil
		}
		c.writable.wait(c.wake)
	}
}

// Close has the peer read what was written, for which it has some seconds, then the end of it. It does not wait for
// that.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.in.clear()
	c.readable.stop()
	c.writable.stop()
	c.wakeAll()
	gone := c.err != nil || c.ended || c.theirs == 0
	if !gone {
		c.timer = time.AfterFunc(linger, func() { c.abort(syscall.ETIMEDOUT) })
	}
	c.mu.Unlock()

	c.writing.Lock() // what is being written goes before the end
	c.mu.Lock()
	if !gone {
		c.say |= sayClose
	}
	c.mu.Unlock()
	c.writing.Unlock()
	if c.flush(); gone {
		c.ep.remove(c)
	}
	return nil
}

// failed is an error as callers see it.
func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.set(&c.readable, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(&c.writable, t) }

func (c *conn) set(w *waiter, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.failed("set", net.ErrClosed)
	}
	w.deadline = t
	w.cond.Broadcast()
	return nil
}
