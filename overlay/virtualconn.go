package overlay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// virtualBuffer is how many bytes a virtual connection holds in each direction before a writer
// waits.
const virtualBuffer = 256 << 10

// virtualConn is one end of a connection in a [Virtual] network.
type virtualConn struct {
	in, out       *stream
	local, remote net.Addr
}

func virtualPair(a, b net.Addr) (atA, atB *virtualConn) {
	ab, ba := newStream(), newStream()
	return &virtualConn{in: ba, out: ab, local: a, remote: b}, &virtualConn{in: ab, out: ba, local: b, remote: a}
}

func (c *virtualConn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *virtualConn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *virtualConn) LocalAddr() net.Addr                { return c.local }
func (c *virtualConn) RemoteAddr() net.Addr               { return c.remote }
func (c *virtualConn) SetReadDeadline(t time.Time) error  { c.in.reading.set(c.in, t); return nil }
func (c *virtualConn) SetWriteDeadline(t time.Time) error { c.out.writing.set(c.out, t); return nil }

func (c *virtualConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close lets the other end read what was written, then the end of it.
func (c *virtualConn) Close() error {
	c.in.close(&c.in.deaf)
	c.out.close(&c.out.ended)
	return nil
}

// stream is one direction of a virtual connection.
type stream struct {
	mu      sync.Mutex
	changed sync.Cond
	data    []byte
	ended   bool // by the writer
	deaf    bool // by the reader

	reading, writing deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 || s.deaf {
		switch {
		case s.deaf:
			return 0, net.ErrClosed
		case s.ended:
			return 0, io.EOF
		case s.reading.passed():
			return 0, os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
	n := copy(p, s.data)
	if s.data = s.data[n:]; len(s.data) == 0 {
		s.data = nil // an idle connection holds no memory
	}
	s.changed.Broadcast()
	return n, nil
}

func (s *stream) write(p []byte) (written int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended:
			return written, net.ErrClosed
		case s.deaf:
			return written, syscall.EPIPE
		case s.writing.passed():
			return written, os.ErrDeadlineExceeded
		}
		n := min(len(p), virtualBuffer-len(s.data))
		s.data = append(s.data, p[:n]...)
		p, written = p[n:], written+n
		if n > 0 {
			s.changed.Broadcast()
		}
		if len(p) == 0 {
			return written, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) close(end *bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*end = true
	s.reading.stop()
	s.writing.stop()
	s.changed.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// set wakes those who wait in the stream when the time has come.
func (d *deadline) set(s *stream, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.stop()
	d.at = at
	switch {
	case at.IsZero():
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(at), s.wake)
	default:
		d.timer.Reset(time.Until(at))
	}
	s.changed.Broadcast() // it may have passed already
}

func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}
