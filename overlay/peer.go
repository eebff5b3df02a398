package overlay

import (
	"context"
	"errors"
	"fmt"
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
// worth trying. What one line learns of the peer counts for all.
type peer struct {
	overlay *Overlay
	node    Node

	// suspect: it failed to answer, and has not been reached since.
	suspect  atomic.Bool
	since    atomic.Pointer[time.Time] // when it became a suspect; nil: it is none, or is becoming one
	failures record                    // to answer
	delays   record                    // in answering
	slowTill atomic.Int64              // others are preferred until then, by [Overlay.clock]; 0 for never
	outrun   atomic.Int32              // how often in a row somebody else was clearly faster
	heard    atomic.Int64              // the latest sign of life that was noticed, by [Overlay.clock]
	checking atomic.Bool

	mu     sync.Mutex
	lines  map[way]*line // those that were ever used
	trust  context.Context
	broken context.CancelCauseFunc // ends trust when the peer falls
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

// ask puts a request to the peer; see [asker.askOr] for overdue. A *peerError is the peer's failure; any other
// error is ctx's, the own memory's or errOvertaken.
func (p *peer) ask(ctx context.Context, tree int, q request, overdue func() <-chan struct{}) (reply, error) {
	w := way{tree, kinds[q.kind].channel}
	r, err := p.try(ctx, w, q, overdue)
	if errors.Is(err, errBroken) && !p.suspect.Load() {
		// The link was closed before the request was sent: that says nothing of the peer.
		r, err = p.try(ctx, w, q, overdue)
	}
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		return r, ctx.Err()
	case errors.Is(err, store.ErrBusy), errors.Is(err, errOvertaken):
		return r, err
	}
	p.distrust(err)
	return r, p.failure(q, err)
}

func (p *peer) try(ctx context.Context, w way, q request, overdue func() <-chan struct{}) (reply, error) {
	a, err := p.line(w).get(ctx, p.overlay, func(late func()) (*asker, error) { return p.dial(w, late) }, overdue)
	if err != nil {
		return reply{}, err
	}
	return a.askOr(ctx, q, overdue)
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

// dial makes a link, and says when that takes long.
func (p *peer) dial(w way, late func()) (*asker, error) {
	o := p.overlay
	look := time.AfterFunc(o.timing.Ping, func() {
		p.slowed("it takes over " + o.timing.Ping.String() + " to connect")
		o.lookAround(w.tree, w.channel)
		late()
	})
	defer look.Stop()
	trusted := p.trusted()
	// If it falls after this look, or solitude begins, trusted ends. Control requests want their node and no other.
	if w.channel != control && (p.suspect.Load() || o.solitude.is.Load()) {
		return nil, errSuspect
	}
	l, err := p.reach(trusted, w)
	if err != nil {
		return nil, err
	}
	a := newAsker(l, o.memory, o.timing)
	stop := context.AfterFunc(o.ctx, func() { a.fail(errClosed) })
	o.start(func() { p.watch(a) })
	if !o.start(func() { a.run(); stop() }) {
		a.fail(errClosed)
	}
	return a, nil
}

// trusted is done when the peer falls. It is for what would be in vain then.
func (p *peer) trusted() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trust == nil {
		p.trust, p.broken = context.WithCancelCause(p.overlay.ctx)
	}
	return p.trust
}

// reach connects to the peer, and notes what that tells of it.
func (p *peer) reach(ctx context.Context, w way) (*link, error) {
	began := time.Now()
	l, err := p.connect(ctx, w)
	switch {
	case err == nil:
		p.hear(time.Now())
	case ctx.Err() != nil:
		err = context.Cause(ctx) // it has fallen meanwhile
	case silent(err):
		p.fall(began, err)
	}
	return l, err
}

// connect makes an authenticated connection within [Timing.Dial]. The trees spread over the peer's
// endpoints; where one doesn't answer, the next is tried.
func (p *peer) connect(ctx context.Context, w way) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, p.overlay.timing.Dial)
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
	open, session, err := introduce(conn, &o.secret, me)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newLink(open, me, session, o.timing.Write, 0), nil
}

// connected tells whether this node has a link to the peer.
func (p *peer) connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		if l.open() != nil {
			return true
		}
	}
	return false
}
