package overlay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	// virtualBuffer is how many bytes a virtual connection holds in each direction before a writer
	// waits.
	virtualBuffer = 256 << 10
	// wiredBuffer is that between hosts whose wire takes time: the windows of fast networks hold
	// more than one chunk.
	wiredBuffer = 4 << 20
)

// virtualConn is one end of a connection in a [Virtual] network.
type virtualConn struct {
	in, out       *stream
	local, remote net.Addr
	host          *VirtualHost
}

// pair makes a connection; the hosts may be nil.
func (v *Virtual) pair(a, b net.Addr, hostA, hostB *VirtualHost) (atA, atB *virtualConn) {
	ab, ba := v.newStream(hostA, hostB), v.newStream(hostB, hostA)
	atA = &virtualConn{in: ba, out: ab, local: a, remote: b, host: hostA}
	atB = &virtualConn{in: ab, out: ba, local: b, remote: a, host: hostB}
	hostA.enter(atA)
	hostB.enter(atB)
	return atA, atB
}

func (c *virtualConn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *virtualConn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *virtualConn) LocalAddr() net.Addr                { return c.local }
func (c *virtualConn) RemoteAddr() net.Addr               { return c.remote }
func (c *virtualConn) SetReadDeadline(t time.Time) error  { c.in.set(&c.in.reading, t); return nil }
func (c *virtualConn) SetWriteDeadline(t time.Time) error { c.out.set(&c.out.writing, t); return nil }

func (c *virtualConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close lets the other end read what was written, then the end of it.
func (c *virtualConn) Close() error {
	c.host.leave(c)
	c.in.stopReading()
	c.out.stopWriting()
	return nil
}

// stream is one direction of a virtual connection.
type stream struct {
	wire     *Wire
	from, to *VirtualHost // both nil where nothing takes time

	mu      sync.Mutex
	changed sync.Cond
	queue   []message
	queued  int  // bytes in queue
	ended   bool // by the writer
	deaf    bool // by the reader

	reading, writing waiter
}

// message is what one write left for the reader.
type message struct {
	due    time.Time
	held   bool   // due isn't known: a host is cut
	data   []byte // nil for hollow data, whose bytes are zero
	length int    // bytes not read yet; 0 for the end of the stream
}

// waiter is the one who waits at an end of a stream.
type waiter struct {
	deadline time.Time
	timer    *time.Timer
	waits    bool
}

func (v *Virtual) newStream(from, to *VirtualHost) *stream {
	s := &stream{wire: &v.wire, from: from, to: to}
	if from == nil || to == nil {
		s.from, s.to = nil, nil
	}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now := time.Now()
		var due time.Time
		switch {
		case s.deaf:
			return 0, net.ErrClosed
		case len(s.queue) == 0 || s.queue[0].held:
		case s.queue[0].due.After(now):
			due = s.queue[0].due
		case s.queue[0].length == 0:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		default:
			n := s.take(p, now)
			s.changed.Broadcast()
			return n, nil
		}
		if err := s.wait(&s.reading, now, due); err != nil {
			return 0, err
		}
	}
}

// take reads what has come into p, up to where it begins or ceases to be hollow: a reader that has
// room for a piece of data in its place should find that there and no part of it elsewhere.
func (s *stream) take(p []byte, now time.Time) (n int) {
	for n < len(p) && len(s.queue) > 0 {
		m := &s.queue[0]
		if m.length == 0 || m.held || m.due.After(now) || n > 0 && m.data == nil {
			break
		}
		k := min(len(p)-n, m.length)
		if m.data != nil {
			copy(p[n:], m.data[:k])
			m.data = m.data[k:]
		} else if !s.wire.hollow(p) {
			clear(p[:k])
		}
		hollow := m.data == nil
		n, m.length, s.queued = n+k, m.length-k, s.queued-k
		if m.length > 0 {
			break
		}
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil // an idle connection holds no memory
		}
		if hollow {
			break
		}
	}
	return n
}

func (w *Wire) hollow(p []byte) bool {
	if len(w.Hollow) == 0 {
		return false
	}
	begin, at := uintptr(unsafe.Pointer(&w.Hollow[0])), uintptr(unsafe.Pointer(&p[0]))
	return begin <= at && at < begin+uintptr(len(w.Hollow))
}

func (s *stream) write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := virtualBuffer
	if s.from != nil {
		limit = wiredBuffer
	}
	for {
		now := time.Now()
		switch {
		case s.ended:
			return written, net.ErrClosed
		case s.deaf:
			return written, syscall.EPIPE
		case s.writing.passed(now):
			return written, os.ErrDeadlineExceeded
		}
		if n := min(len(p), limit-s.queued); n > 0 {
			s.send(p[:n], now)
			p, written = p[n:], written+n
		}
		if len(p) == 0 {
			return written, nil
		}
		if err := s.wait(&s.writing, now, time.Time{}); err != nil {
			return written, err
		}
	}
}

// send puts a message on its way.
func (s *stream) send(p []byte, now time.Time) {
	m := message{length: len(p)}
	if len(p) > 0 && !s.wire.hollow(p) {
		m.data = append([]byte(nil), p...)
	}
	s.post(&m, now)
	s.queue = append(s.queue, m)
	s.queued += len(p)
	s.changed.Broadcast()
}

// post finds when a message is due.
func (s *stream) post(m *message, now time.Time) {
	m.due, m.held = now, false
	if s.from != nil {
		var after time.Duration
		after, m.held = s.wire.send(s.from, s.to, s, now.UnixNano(), m.length)
		m.due = now.Add(after)
	}
}

// resume puts what was held on its way.
func (s *stream) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.queue {
		if m := &s.queue[i]; m.held {
			s.post(m, time.Now())
		}
	}
	s.changed.Broadcast()
}

func (s *stream) stopReading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = true
	s.queue = nil
	s.reading.stop()
	s.changed.Broadcast()
}

func (s *stream) stopWriting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && !s.deaf {
		s.send(nil, time.Now())
	}
	s.ended = true
	s.writing.stop()
	s.changed.Broadcast()
}

// wait returns when something may have changed, at the latest at due if that isn't zero, with an
// error when the deadline has passed. Called with mu, which it gives up meanwhile.
func (s *stream) wait(w *waiter, now, due time.Time) error {
	if w.passed(now) {
		return os.ErrDeadlineExceeded
	}
	if !w.deadline.IsZero() && (due.IsZero() || w.deadline.Before(due)) {
		due = w.deadline
	}
	switch {
	case due.IsZero():
	case w.timer == nil:
		w.timer = time.AfterFunc(due.Sub(now), s.wake)
	default:
		w.timer.Reset(due.Sub(now))
	}
	w.waits = true
	s.changed.Wait()
	w.waits = false
	return nil
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// set sets a deadline; who waits looks at it.
func (s *stream) set(w *waiter, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.deadline = at
	if w.waits {
		s.changed.Broadcast()
	}
}

func (w *waiter) passed(now time.Time) bool { return !w.deadline.IsZero() && !now.Before(w.deadline) }

func (w *waiter) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
