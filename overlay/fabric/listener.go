package fabric

import (
	"fmt"
	"net"
	"sync"
	"syscall"
)

// backlog is how many connections may wait to be accepted. They are open already for those who dialled.
const backlog = 512

// listener is the listening side of an endpoint.
type listener struct {
	ep       *endpoint
	arriving chan *conn
	once     sync.Once
	closed   chan struct{}
}

// listen makes the endpoint listen, which it does once at a time.
func (e *endpoint) listen() (*listener, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ending {
		return nil, errEnding
	}
	if e.listener != nil {
		return nil, fmt.Errorf("%s: %w", e.name, syscall.EADDRINUSE)
	}
	e.listener = &listener{ep: e, arriving: make(chan *conn, backlog), closed: make(chan struct{})}
	return e.listener, nil
}

func (l *listener) Addr() net.Addr { return l.ep.name }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.failed()
	default:
	}
	select {
	case c, ok := <-l.arriving:
		if ok {
			return c, nil
		}
	case <-l.closed:
	}
	return nil, l.failed()
}

func (l *listener) failed() error {
	return &net.OpError{Op: "accept", Net: l.ep.name.Network(), Addr: l.ep.name, Err: net.ErrClosed}
}

// Close breaks the connections that were not accepted. The others go on; the endpoint ends with the last of them.
func (l *listener) Close() error {
	err := l.failed()
	l.once.Do(func() {
		err = nil
		e := l.ep
		e.mu.Lock()
		e.listener = nil
		close(l.closed)
		close(l.arriving)
		e.endIfUnused()
		e.mu.Unlock()
		for c := range l.arriving {
			c.abort(syscall.ECONNREFUSED)
			_ = c.Close() // it can't fail
		}
	})
	return err
}
