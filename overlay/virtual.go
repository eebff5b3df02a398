package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	schemeVirtual = "mem"
	// virtualBacklog is how many connections may wait to be accepted.
	virtualBacklog = 128
)

// Virtual is a [Transport] within one process, for tests and simulation: it uses no file
// descriptor and waits only in ways that testing/synctest understands. Its endpoints are "mem://name"
// with any name; Listen at "mem://" takes a new one.
//
// It is instantaneous, unless it was made with a [Wire] and is used through its [VirtualHost]s.
type Virtual struct {
	wire Wire

	mu        sync.Mutex
	listeners map[string]*virtualListener
	named     int
	hosts     int
}

// NewVirtual makes an empty network.
func NewVirtual() *Virtual {
	return &Virtual{listeners: make(map[string]*virtualListener)}
}

// Listen listens at an endpoint that nobody listens at yet.
func (v *Virtual) Listen(endpoint string) (net.Listener, error) { return v.listen(endpoint, nil) }

// Dial connects to an endpoint at which somebody listens.
func (v *Virtual) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	return v.dial(ctx, endpoint, nil)
}

func (v *Virtual) listen(endpoint string, host *VirtualHost) (net.Listener, error) {
	if !strings.HasPrefix(endpoint, schemeVirtual+"://") {
		return nil, fmt.Errorf("endpoint %q: want mem://name", endpoint)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if endpoint == schemeVirtual+"://" {
		v.named++
		endpoint = fmt.Sprintf("%s%d", endpoint, v.named)
	}
	if v.listeners[endpoint] != nil {
		return nil, fmt.Errorf("listen at %s: %w", endpoint, syscall.EADDRINUSE)
	}
	ln := &virtualListener{
		network: v, host: host, addr: endpointAddr(endpoint),
		arriving: make(chan net.Conn, virtualBacklog), closed: make(chan struct{}),
	}
	v.listeners[endpoint] = ln
	return ln, nil
}

func (v *Virtual) dial(ctx context.Context, endpoint string, from *VirtualHost) (net.Conn, error) {
	v.mu.Lock()
	ln := v.listeners[endpoint]
	v.mu.Unlock()
	if ln == nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, syscall.ECONNREFUSED)
	}
	if err := v.reach(ctx, from, ln.host); err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	if ln.host.alien() {
		return v.meetAlien(from, endpoint)
	}
	near, far := v.pair(endpointAddr(schemeVirtual+"://dialler"), ln.addr, from, ln.host)
	select {
	case ln.arriving <- far:
		return near, nil
	case <-ln.closed:
		return nil, fmt.Errorf("dial %s: %w", endpoint, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reach takes the time of a message there and one back.
func (v *Virtual) reach(ctx context.Context, from, to *VirtualHost) error {
	if err := reachable(ctx, from, to); err != nil {
		return err
	}
	trip := 2 * (v.wire.Latency + from.extra() + to.extra())
	if trip == 0 {
		return nil
	}
	timer := time.NewTimer(trip)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type virtualListener struct {
	network  *Virtual
	host     *VirtualHost // nil: of no host in particular
	addr     endpointAddr
	arriving chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (l *virtualListener) Addr() net.Addr { return l.addr }

func (l *virtualListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.arriving:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close also closes what was not accepted; a connection that arrives in the same moment is left
// to its dialler's patience, as on a real network.
func (l *virtualListener) Close() error {
	err := errors.New("closed twice")
	l.once.Do(func() {
		err = nil
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.closed)
		for {
			select {
			case conn := <-l.arriving:
				_ = conn.Close() // it can't fail
			default:
				return
			}
		}
	})
	return err
}
