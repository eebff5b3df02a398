package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/store"
)

// peerError is a peer's failure to answer. It never reaches an application: somebody else is
// asked.
type peerError struct {
	rank int
	host string
	op   string // what it was asked
	err  error
}

func (e *peerError) Error() string {
	return fmt.Sprintf("%s of rank %d on %s: %v", e.op, e.rank, e.host, e.err)
}

func (e *peerError) Unwrap() error { return e.err }

// peer is another node as this one sees it: the lines on which it is asked, and whether that is
// worth trying.
type peer struct {
	overlay *Overlay
	node    Node

	// suspect: it failed to answer, and has not been reached since.
	suspect atomic.Bool
	since   atomic.Pointer[time.Time] // when it became a suspect; nil: it is none, or is becoming one
	// strikes counts the failures to reach it since it last answered; each makes it wait longer.
	strikes atomic.Int32

	mu    sync.Mutex
	lines map[way]*line // those that were ever used
}

// way is what one line to a peer is for. The trees don't share lines: each has its own bound on
// the requests in flight, because the requests of one tree must never wait for those of another to
// be answered. Three trees could make three nodes wait for each other in a circle.
type way struct {
	tree    int
	channel channel
}

func newPeer(o *Overlay, node Node) *peer {
	return &peer{overlay: o, node: node, lines: make(map[way]*line)}
}

// ask puts a request to the peer. A *peerError is the peer's failure; any other error is ctx's or
// the own memory's.
func (p *peer) ask(ctx context.Context, tree int, q request) (reply, error) {
	w := way{tree, kinds[q.kind].channel}
	r, err := p.try(ctx, w, q)
	if errors.Is(err, errBroken) {
		// The link was closed before the request was sent: that says nothing of the peer.
		r, err = p.try(ctx, w, q)
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

func (p *peer) try(ctx context.Context, w way, q request) (reply, error) {
	a, err := p.line(w).get(ctx, p.overlay, func() (*asker, error) { return p.dial(w) })
	if err != nil {
		return reply{}, err
	}
	return a.ask(ctx, q)
}

func (p *peer) line(w way) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[w]
	if l == nil {
		l = new(line)
		p.lines[w] = l
	}
	return l
}

func (p *peer) failure(q request, err error) error {
	return &peerError{rank: p.node.Rank, host: p.node.Host, op: kinds[q.kind].name, err: err}
}

func (p *peer) dial(w way) (*asker, error) {
	o := p.overlay
	l, err := p.connect(w)
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

// connect makes an authenticated connection within [Timing.Dial]. The trees spread over the peer's
// endpoints; where one doesn't answer, the next is tried.
func (p *peer) connect(w way) (*link, error) {
	ctx, cancel := context.WithTimeout(p.overlay.ctx, p.overlay.timing.Dial)
	defer cancel()
	end, _ := ctx.Deadline()
	var failures []error
	for i, n := 0, len(p.node.Endpoints); i < n; i++ {
		endpoint := p.node.Endpoints[(w.tree+i)%n]
		share, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(n-i))
		l, err := p.connectTo(share, endpoint, w)
		cancel()
		if err == nil {
			return l, nil
		}
		failures = append(failures, fmt.Errorf("connect to %s: %w", endpoint, err))
	}
	return nil, errors.Join(failures...)
}

func (p *peer) connectTo(ctx context.Context, endpoint string, w way) (*link, error) {
	o := p.overlay
	conn, err := o.transport.Dial(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	me := o.hello(p.node.Rank, w.tree, w.channel)
	session, err := introduce(conn, &o.secret, me)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newLink(conn, me, session, o.timing.Write, 0), nil
}

// distrust makes the peer a suspect, and sees to it that it comes back when it can be reached.
func (p *peer) distrust(err error) {
	o := p.overlay
	if o.ctx.Err() != nil || !p.suspect.CompareAndSwap(false, true) {
		return
	}
	now := time.Now()
	p.since.Store(&now)
	p.strikes.Add(1)
	o.log.Warn("a peer does not answer; others are asked", "rank", p.node.Rank, "host", p.node.Host, "err", err)
	o.start(p.probe)
}

// probe tries to reach a suspect until it succeeds. Requests aren't held up by the trying.
func (p *peer) probe() {
	o := p.overlay
	for sleep(o.ctx, p.pause()) {
		l, err := p.connect(way{controlTree, control})
		if err != nil {
			p.strikes.Add(1)
			o.log.Debug("a suspect is still out of reach", "rank", p.node.Rank, "host", p.node.Host, "err", err)
			continue
		}
		_ = l.conn.Close() // that it could be made is all that was to be known
		p.since.Store(nil)
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
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l.open() {
			return true
		}
	}
	return false
}
