package overlay

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/store"
)

// faulty is a Transport whose accepted connections misbehave when a test wants it.
type faulty struct {
	Transport
	corrupt atomic.Bool  // what is written has one bit changed, near its end
	pace    atomic.Int64 // nanoseconds that each read takes

	mu   sync.Mutex
	thaw chan struct{} // not nil while frozen
}

// freeze stops all bytes in both directions, as a stopped process does, until unfreeze.
func (f *faulty) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.thaw = make(chan struct{})
}

func (f *faulty) unfreeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.thaw)
	f.thaw = nil
}

func (f *faulty) Listen(endpoint string) (net.Listener, error) {
	ln, err := f.Transport.Listen(endpoint)
	return faultyListener{ln, f}, err
}

type faultyListener struct {
	net.Listener
	faults *faulty
}

func (l faultyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: conn, faults: l.faults, closed: make(chan struct{})}, nil
}

type faultyConn struct {
	net.Conn
	faults *faulty
	once   sync.Once
	closed chan struct{}
}

func (c *faultyConn) wait() {
	c.faults.mu.Lock()
	thaw := c.faults.thaw
	c.faults.mu.Unlock()
	if thaw != nil {
		select {
		case <-thaw:
		case <-c.closed:
		}
	}
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(time.Duration(c.faults.pace.Load()))
	c.wait()
	return n, err
}

func (c *faultyConn) Write(p []byte) (int, error) {
	c.wait()
	if c.faults.corrupt.Load() && len(p) > headerSize+attrSize {
		p = append([]byte(nil), p...)
		p[len(p)-1] ^= 1
	}
	return c.Conn.Write(p)
}

func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// dripping is a Transport of whose dialled connections one byte can be read every second, once a
// handshake has been.
type dripping struct{ Transport }

func (d dripping) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	conn, err := d.Transport.Dial(ctx, endpoint)
	return &drippingConn{Conn: conn, swift: challengeSize}, err
}

type drippingConn struct {
	net.Conn
	swift int // bytes that come at once
}

func (c *drippingConn) Read(p []byte) (int, error) {
	if c.swift > 0 {
		n, err := c.Conn.Read(p[:min(len(p), c.swift)])
		c.swift -= n
		return n, err
	}
	n, err := c.Conn.Read(p[:1])
	time.Sleep(time.Second)
	return n, err
}

// failing is a Source that fails in one way, once ctx is done if it waits for that.
type failing struct {
	err   error
	waits bool
	asked atomic.Int64
	left  atomic.Int64 // askers that are gone again
}

func (f *failing) fail(ctx context.Context) error {
	f.asked.Add(1)
	if f.waits {
		<-ctx.Done()
	}
	f.left.Add(1)
	return f.err
}

func (f *failing) Stat(ctx context.Context, _ string, _ store.Version) (store.Attr, error) {
	return store.Attr{}, f.fail(ctx)
}

func (f *failing) List(ctx context.Context, _ string, _ *store.Listing) (*store.Listing, error) {
	return nil, f.fail(ctx)
}

func (f *failing) ReadLink(ctx context.Context, _ string) (string, error) {
	return "", f.fail(ctx)
}

func (f *failing) ReadChunk(ctx context.Context, _ store.File, _ int64) (*store.Chunk, error) {
	return nil, f.fail(ctx)
}

var errTest = errors.New("made by the test")
