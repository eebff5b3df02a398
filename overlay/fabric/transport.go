package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// farewell is for how long what was written may still leave when a transport is closed.
const farewell = time.Second

// Transport makes connections over libfabric. Its endpoints are "ofi+cxi://0x00916600" over CXI, and
// "ofi+tcp://IP:PORT" and "ofi+net://IP:PORT" over libfabric's TCP providers.
//
// Listen also takes a CXI device, "ofi+cxi://cxi0" or "ofi+cxi://cxi0:PID", and for the others the name of a network
// interface, and no port.
type Transport struct {
	log *slog.Logger

	mu        sync.Mutex
	endpoints []*endpoint
	turn      int
	closed    bool
}

// New makes a transport. Nothing is loaded until it is used.
func New(log *slog.Logger) *Transport { return &Transport{log: log} }

// Listen opens an endpoint there, or listens at one that is open for connections that were dialled from it.
func (t *Transport) Listen(endpoint string) (net.Listener, error) {
	at, err := siteOf(endpoint)
	if err != nil {
		return nil, err
	}
	for {
		l, ending, err := t.listen(endpoint, at)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errEnding) || ending == nil {
			return nil, fmt.Errorf("listen at %s: %w", endpoint, err)
		}
		<-ending.done // and then again: its address is free
	}
}

func (t *Transport) listen(endpoint string, at site) (net.Listener, *endpoint, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, net.ErrClosed
	}
	t.prune()
	for _, e := range t.endpoints {
		if e.is(endpoint) {
			l, err := e.listen()
			if err != nil {
				return nil, e, err
			}
			return l, nil, nil
		}
	}
	e, err := t.open(at)
	if err != nil {
		return nil, nil, err
	}
	l, err := e.listen()
	if err != nil {
		return nil, nil, err
	}
	return l, nil, nil
}

// is tells whether this is the endpoint with an address.
func (e *endpoint) is(endpoint string) bool {
	scheme, address, err := parse(endpoint)
	return err == nil && scheme == e.at.scheme && identity(scheme, address) == identity(scheme, e.port.address)
}

// prune forgets the endpoints that have ended. Called with mu.
func (t *Transport) prune() {
	t.endpoints = slices.DeleteFunc(t.endpoints, func(e *endpoint) bool {
		select {
		case <-e.done:
			return true
		default:
			return false
		}
	})
}

// open opens an endpoint. Called with mu.
func (t *Transport) open(at site) (*endpoint, error) {
	e, err := open(t.log, at)
	if err != nil {
		return nil, err
	}
	t.endpoints = append(t.endpoints, e)
	return e, nil
}

// Dial connects to an endpoint. It returns when ctx is done.
func (t *Transport) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	c, err := t.dial(ctx, endpoint)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	return c, nil
}

func (t *Transport) dial(ctx context.Context, endpoint string) (*conn, error) {
	scheme, address, err := parse(endpoint)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := t.begin(scheme, address)
	if err != nil {
		return nil, err
	}
	if err := c.opened(ctx); err != nil {
		c.abort(err)
		_ = c.Close() // it can't fail
		return nil, err
	}
	return c, nil
}

// begin begins a connection from one of the endpoints that are open, in turn, or from one of its own.
func (t *Transport) begin(scheme string, address []byte) (*conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, net.ErrClosed
	}
	t.prune()
	t.turn++
	for i := range t.endpoints {
		e := t.endpoints[(t.turn+i)%len(t.endpoints)]
		if e.at.scheme != scheme || !reaches(e.port.address, address, scheme) {
			continue
		}
		c, err := e.connect(complete(scheme, address, e.port.address))
		if !errors.Is(err, errEnding) {
			return c, err
		}
	}
	at, err := siteFor(scheme, address)
	if err != nil {
		return nil, err
	}
	e, err := t.open(at)
	if err != nil {
		return nil, err
	}
	return e.connect(complete(scheme, address, e.port.address))
}

// reaches tells whether packets from one address may go to another. Over IP a loopback address and others don't
// mix.
func reaches(from, to []byte, scheme string) bool {
	if scheme == schemeCXI {
		return true
	}
	a, errA := netip.ParseAddrPort(formatIP(from))
	b, errB := netip.ParseAddrPort(formatIP(to))
	return errA == nil && errB == nil && a.Addr().Is4() == b.Addr().Is4() && a.Addr().IsLoopback() == b.Addr().IsLoopback()
}

// siteFor is where to open an endpoint from which an address can be dialled.
func siteFor(scheme string, address []byte) (site, error) {
	at := site{scheme: scheme, provider: schemes[scheme]}
	if scheme == schemeCXI {
		return at, nil // any device, and a PID that is free
	}
	route, err := net.Dial("udp", formatIP(address)) // which sends nothing
	if err != nil {
		return site{}, err
	}
	defer route.Close()
	at.node, _, err = net.SplitHostPort(route.LocalAddr().String())
	at.service = "0"
	return at, err
}

// Close ends all endpoints and connections. What was written has a second to leave.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	all := slices.Clone(t.endpoints)
	t.mu.Unlock()
	for _, e := range all {
		e.stop(farewell)
	}
	for _, e := range all {
		<-e.done
	}
	return nil
}
