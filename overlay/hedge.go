package overlay

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/store"
)

const (
	// hedgeShare is how many answers pay for one hedge: hedges are at most a twentieth of the requests.
	// When the PFS is slow everybody is, and nothing is gained by asking twice.
	hedgeShare = 20
	// hedgePurse is how many hedges can be saved up.
	hedgePurse = 16
	// maxOutrun is how often in a row others must be clearly faster for a peer to count as slow.
	maxOutrun = 3
)

// pace is how fast answers usually come, from any peer, and how many hedges are left.
//
// What is usual goes by the kind of the question and not by the peer: a peer that is slow shall not be
// the measure of itself.
type pace struct {
	floor, cap time.Duration
	usual      [kindEnd]usual
	tokens     atomic.Int64 // hedgeShare for one hedge
}

// usual is a moving average of times and of their deviation from it, in nanoseconds. Updates that meet may be lost.
type usual struct{ mean, deviation atomic.Int64 }

func (p *pace) init(t Timing) {
	p.floor, p.cap = t.Hedge, 16*t.Hedge
	p.tokens.Store(hedgePurse * hedgeShare)
}

// note takes account of an answer.
func (p *pace) note(k kind, took time.Duration) {
	u := &p.usual[k]
	mean, deviation := u.mean.Load(), u.deviation.Load()
	off := int64(took) - mean
	u.mean.Store(mean + off/8)
	u.deviation.Store(deviation + (max(off, -off)-deviation)/4)
	if p.tokens.Load() < hedgePurse*hedgeShare {
		p.tokens.Add(1)
	}
}

// late is after what time an answer is late: far beyond what is usual, and never less than
// [Timing.Hedge].
func (p *pace) late(k kind) time.Duration {
	u := &p.usual[k]
	return min(max(p.floor, time.Duration(u.mean.Load()+4*u.deviation.Load())), p.cap)
}

// spend takes what one hedge costs, if it is there.
func (p *pace) spend() bool {
	for {
		left := p.tokens.Load()
		if left < hedgeShare {
			return false
		}
		if p.tokens.CompareAndSwap(left, left-hedgeShare) {
			return true
		}
	}
}

// hedge is another node that is asked a question because the peer to which it was put is slow. The first to
// answer wins.
//
// It is the next that would be asked if the peer had failed: in general the peer's parent, whose
// store joins the two questions if the peer has passed the first on. So the PFS isn't asked twice.
type hedge[A any] struct {
	began  time.Time
	cancel context.CancelFunc
	ended  chan struct{} // closed when it has answered or failed
	won    chan struct{} // closed when it has answered
	settle atomic.Bool   // by the first who has an answer
	answer A             // as err, when won is closed
	err    error
}

// overdue asks somebody else, if there is anybody and it can be paid for. The channel is closed when that one
// has answered.
func (q *question[A]) overdue() <-chan struct{} {
	o := q.overlay
	if q.hedge != nil {
		return q.hedge.won // since the peer was slow to connect already
	}
	rival, ok := o.rival(q.peer, q.route)
	if !ok || !o.pace.spend() {
		return nil
	}
	ctx, cancel := context.WithCancel(q.ctx)
	h := &hedge[A]{began: time.Now(), cancel: cancel, ended: make(chan struct{}), won: make(chan struct{})}
	started := o.start(func() {
		defer close(h.ended)
		answer, err := q.askRival(ctx, rival)
		switch {
		case !answers(err):
		case h.settle.CompareAndSwap(false, true):
			h.answer, h.err = answer, err
			close(h.won)
		default:
			discard(answer)
		}
	})
	if !started {
		cancel()
		return nil
	}
	o.traffic.hedges.Add(1)
	q.hedge = h
	return h.won
}

func (q *question[A]) askRival(ctx context.Context, rival *peer) (A, error) {
	if rival == nil {
		q.overlay.traffic.direct.Add(1)
		return q.origin(ctx)
	}
	return q.put(ctx, rival, nil)
}

// result is the answer to the question, given what the peer said.
func (q *question[A]) result(answer A, err error) (A, error) {
	h := q.hedge
	if h == nil {
		return answer, err
	}
	q.hedge = nil
	defer h.cancel()
	if failed := (*peerError)(nil); errors.As(err, &failed) {
		select { // the rival is the next to be asked anyway
		case <-h.ended:
		case <-q.ctx.Done():
		}
	}
	if h.settle.CompareAndSwap(false, true) {
		return answer, err // whatever the rival still says is dropped
	}
	if answers(err) { // both came at once
		discard(answer)
	}
	<-h.won
	q.overlay.traffic.hedgesWon.Add(1)
	q.peer.overtaken(time.Since(h.began))
	return h.answer, h.err
}

// overtaken notes that somebody else answered first, in that time. It counts only if that is a fraction of
// the time that the peer had: where both wait for the PFS, the one that is nearer to it comes in first by little.
func (p *peer) overtaken(took time.Duration) {
	if 4*took < p.overlay.timing.Hedge && p.outrun.Add(1) >= maxOutrun {
		p.outrun.Store(0)
		p.slowed("others answer much faster")
	}
}

// answers tells whether that is an answer of the PFS, be it an error.
func answers(err error) bool {
	said := (*store.Error)(nil)
	return err == nil || errors.As(err, &said)
}

// discard gives back what an answer holds that nobody takes.
func discard[A any](answer A) {
	if chunk, ok := any(answer).(*store.Chunk); ok && chunk != nil {
		chunk.Release()
	}
}

// rival is whom to ask beside a peer that is late: the next who would be asked, if that one isn't
// known to be slow too. nil is this node's own origin.
//
// The origin is asked only by a node that acts as the root because the peer itself is slow. A root
// that is quick, but late, waits for the PFS; were all its children to turn to the PFS as well, they would make it
// slower.
func (o *Overlay) rival(late *peer, r route) (rival *peer, ok bool) {
	for p := range o.upstream(r) {
		if p != late && !p.slow() {
			return p, true
		}
	}
	return nil, late.slow() && o.leads(r)
}
