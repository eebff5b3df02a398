package overlay

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// errSilent: the peer was waited for, and gave no sign of life.
var errSilent = errors.New("no sign of life")

// errSuspect: the peer has become a suspect since it was chosen.
var errSuspect = errors.New("it has just failed to answer")

// silent tells whether an error is that nothing was heard of a peer, where others, like a connection
// that is refused, show at least that the way to it is open.
func silent(err error) bool {
	return errors.Is(err, errSilent) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// record counts a peer's offences of one kind. Each makes the pause after it longer. It is cleared
// by good conduct that lasts longer than that pause: a peer that fails again and again, and answers in
// between, is tried less and less often.
type record struct {
	strikes atomic.Int32
	latest  atomic.Int64 // by [Overlay.clock]
}

func (r *record) strike(clock time.Duration) {
	r.latest.Store(int64(clock))
	r.strikes.Add(1)
}

// pause doubles with every strike, and differs between the nodes that think the same of a peer.
func (r *record) pause(t Timing) time.Duration {
	pause := r.bound(t)
	return pause/2 + rand.N(pause/2+1)
}

// bound is the longest that pause may be.
func (r *record) bound(t Timing) time.Duration {
	pause := t.Retry
	for range r.strikes.Load() - 1 {
		if pause >= t.MaxRetry {
			break
		}
		pause *= 2
	}
	return min(pause, t.MaxRetry)
}

// good notes good conduct.
func (r *record) good(o *Overlay) {
	if r.strikes.Load() > 0 && o.clock()-time.Duration(r.latest.Load()) > 2*r.bound(o.timing) {
		r.strikes.Store(0)
	}
}

// distrust makes the peer a suspect, if it wasn't one, and sees to it that it comes back when it can be
// reached.
func (p *peer) distrust(err error) bool {
	o := p.overlay
	if o.ctx.Err() != nil || !p.suspect.CompareAndSwap(false, true) {
		return false
	}
	now := time.Now()
	p.since.Store(&now)
	p.failures.strike(o.clock())
	o.log.Warn("a peer does not answer; others are asked", "rank", p.node.Rank, "host", p.node.Host, "err", err)
	o.start(p.probe)
	return true
}

// fall ends all that is under way with a peer of which nothing has been heard since some moment, on whatever
// line. Who waits for it on another one needn't find out for himself.
func (p *peer) fall(since time.Time, err error) {
	o := p.overlay
	if o.later(&p.heard, since) {
		return
	}
	first := p.distrust(err)
	p.drop(err)
	if first {
		o.solitude.silent(o, since)
	}
}

// drop breaks all links to the peer, and those that are being made.
func (p *peer) drop(err error) {
	var links []*asker
	p.mu.Lock()
	if p.trust != nil {
		p.broken(err)
		p.trust = nil
	}
	for _, l := range p.lines {
		if a := l.open(); a != nil {
			links = append(links, a)
		}
	}
	p.mu.Unlock()
	for _, a := range links {
		a.fail(err)
	}
}

// hear notes a sign of life.
func (p *peer) hear(now time.Time) {
	clock := int64(now.Sub(p.overlay.born))
	p.heard.Store(clock)
	p.overlay.solitude.heard(p.overlay, clock)
}

// later tells whether a sign of life was noticed that came after some moment. What comes is noticed a beat
// later at most.
func (o *Overlay) later(heard *atomic.Int64, than time.Time) bool {
	return time.Duration(heard.Load()) > than.Sub(o.born)+o.timing.beat()
}

// probe tries to reach a suspect until it succeeds. Requests aren't held up by the trying.
func (p *peer) probe() {
	o := p.overlay
	for o.solitude.pause(o.ctx, p.failures.pause(o.timing)) {
		l, err := p.reach(o.ctx, way{controlTree, control})
		if err != nil {
			p.failures.strike(o.clock())
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

// check begins to find out whether the peer is alive, in the background, unless that is known or under way.
func (p *peer) check() (begun bool) {
	o := p.overlay
	fresh := o.clock()-time.Duration(p.heard.Load()) < o.timing.beat()
	if fresh || p.suspect.Load() || !p.checking.CompareAndSwap(false, true) {
		return false
	}
	return o.start(func() {
		defer p.checking.Store(false)
		l, err := p.reach(p.trusted(), way{controlTree, control})
		if err != nil {
			p.distrust(err)
			return
		}
		_ = l.conn.Close()
	})
}

// slowed makes others preferred to the peer for a while.
func (p *peer) slowed(why string) {
	o := p.overlay
	if p.slow() || p.suspect.Load() {
		return
	}
	p.delays.strike(o.clock())
	pause := p.delays.pause(o.timing)
	p.slowTill.Store(int64(o.clock() + pause))
	o.log.Info("a peer is slow; others are preferred for a while",
		"rank", p.node.Rank, "host", p.node.Host, "why", why, "for", pause)
}

// slow tells whether others are to be preferred.
func (p *peer) slow() bool {
	till := p.slowTill.Load()
	return till != 0 && p.overlay.clock() < time.Duration(till)
}

// lastinglySlow tells whether the peer is slow and was before: no hiccup of a node that is short of
// processors is reason enough to read the PFS a second time.
func (p *peer) lastinglySlow() bool { return p.slow() && p.delays.strikes.Load() > 1 }

// answered notes that the peer has done what was asked.
func (p *peer) answered() {
	p.failures.good(p.overlay)
	p.delays.good(p.overlay)
	if p.outrun.Load() != 0 {
		p.outrun.Store(0)
	}
}
