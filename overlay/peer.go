package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/store"
)

// PeerError is a peer's failure to answer. It never reaches an application: somebody else is
// asked.
type PeerError struct {
	Rank int
	Host string
	Op   string // what it was asked
	Err  error
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("%s of rank %d on %s: %v", e.Op, e.Rank, e.Host, e.Err)
}

func (e *PeerError) Unwrap() error { return e.Err }

// peer is another node as this one sees it: the lines on which it is asked, and whether that is
// worth trying.
type peer struct {
	overlay *Overlay
	node    Node
	lines   [][channels]line // by endpoint

	// suspect: it failed to answer, and has not been reached since.
	suspect atomic.Bool
	// strikes counts the failures to reach it since it last answered; each makes it wait longer.
	strikes atomic.Int32
}

func newPeer(o *Overlay, node Node) *peer {
	return &peer{overlay: o, node: node, lines: make([][channels]line, len(node.Endpoints))}
}

// ask puts a request to the peer. The trees spread over its endpoints. A *PeerError is the peer's
// failure; any other error is ctx's or the own memory's.
func (p *peer) ask(ctx context.Context, tree int, q request) (reply, error) {
	endpoint, channel := tree%len(p.lines), kinds[q.kind].channel
	r, err := p.try(ctx, endpoint, channel, q)
	if errors.Is(err, errBroken) {
		// The link was closed before the request was sent: that says nothing of the peer.
		r, err = p.try(ctx, endpoint, channel, q)
	}
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		return r, ctx.Err()
	case errors.Is(err, store.ErrBusy):
		return r, err
	}
	p.distrust(err)
	return r, p.failure(q, err)
}

func (p *peer) try(ctx context.Context, endpoint int, c channel, q request) (reply, error) {
	a, err := p.lines[endpoint][c].get(ctx, p.overlay, func() (*asker, error) {
		return p.dial(endpoint, c)
	})
	if err != nil {
		return reply{}, err
	}
	return a.ask(ctx, q)
}

func (p *peer) failure(q request, err error) error {
	return &PeerError{Rank: p.node.Rank, Host: p.node.Host, Op: kinds[q.kind].name, Err: err}
}

func (p *peer) dial(endpoint int, c channel) (*asker, error) {
	o := p.overlay
	l, err := p.connect(endpoint, c)
	if err != nil {
		return nil, err
	}
	a := newAsker(l, o.memory, o.timing)
	stop := context.AfterFunc(o.ctx, func() { a.fail(errClosed) })
	o.start(a.watch)
	if !o.start(func() { a.run(); stop() }) {
		a.fail(errClosed)
	}
	return a, nil
}

// connect makes an authenticated connection within [Timing.Dial], by that endpoint of the peer or
// by the next that answers.
func (p *peer) connect(endpoint int, c channel) (*link, error) {
	ctx, cancel := context.WithTimeout(p.overlay.ctx, p.overlay.timing.Dial)
	defer cancel()
	var failures []error
	for left := len(p.node.Endpoints); left > 0; left-- {
		l, err := p.connectTo(ctx, p.node.Endpoints[endpoint], c, left)
		if err == nil {
			return l, nil
		}
		failures = append(failures, fmt.Errorf("connect to %s: %w", p.node.Endpoints[endpoint], err))
		endpoint = (endpoint + 1) % len(p.node.Endpoints)
	}
	return nil, errors.Join(failures...)
}

// connectTo uses at most its share of the time left in ctx, of which shares are wanted.
func (p *peer) connectTo(ctx context.Context, endpoint string, c channel, shares int) (*link, error) {
	o := p.overlay
	end, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(shares))
	defer cancel()
	conn, err := o.transport.Dial(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	session, err := introduce(conn, &o.secret, o.hello(c, p.node.Rank))
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newLink(conn, c, session, o.timing.Write, 0), nil
}

// distrust makes the peer a suspect, and sees to it that it comes back when it can be reached.
func (p *peer) distrust(err error) {
	o := p.overlay
	if o.ctx.Err() != nil || !p.suspect.CompareAndSwap(false, true) {
		return
	}
	p.strikes.Add(1)
	o.log.Warn("a peer does not answer; others are asked", "rank", p.node.Rank, "host", p.node.Host, "err", err)
	o.start(p.probe)
}

// probe tries to reach a suspect until it succeeds. Requests aren't held up by the trying.
func (p *peer) probe() {
	o := p.overlay
	for sleep(o.ctx, p.pause()) {
		l, err := p.connect(0, small)
		if err != nil {
			p.strikes.Add(1)
			o.log.Debug("a suspect is still out of reach", "rank", p.node.Rank, "host", p.node.Host, "err", err)
			continue
		}
		_ = l.conn.Close() // that it could be made is all that was to be known
		p.suspect.Store(false)
		o.log.Info("a peer is back", "rank", p.node.Rank, "host", p.node.Host)
		return
	}
}

// pause doubles with every strike, and differs between the nodes that suspect the same peer.
func (p *peer) pause() time.Duration {
	timing := p.overlay.timing
	pause := timing.Retry
	for range p.strikes.Load() - 1 {
		if pause >= timing.MaxRetry {
			break
		}
		pause *= 2
	}
	pause = min(pause, timing.MaxRetry)
	return pause/2 + rand.N(pause/2+1)
}

// answered clears the record of a peer that has done what was asked.
func (p *peer) answered() {
	if p.strikes.Load() > 0 && !p.suspect.Load() {
		p.strikes.Store(0)
	}
}

// connected tells whether this node has a link to the peer.
func (p *peer) connected() bool {
	for i := range p.lines {
		for c := range p.lines[i] {
			if p.lines[i][c].open() {
				return true
			}
		}
	}
	return false
}
