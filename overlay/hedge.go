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

// hedge is a question that was put to one peer and, should that be slow, to another node as well. The
// first to answer wins.
//
// The other one is the next that would be asked if the peer had failed: in general its parent, whose
// store joins the two questions if the peer has passed the first on. So the PFS isn't asked twice.
type hedge[A any] struct {
	question[A]
	peer *peer

	began  time.Time // when the rival was asked
	cancel context.CancelFunc
	ended  chan struct{} // closed when the rival has answered or failed; nil if there is none
	won    chan struct{} // closed when the rival has answered
	settle atomic.Bool   // by the first who has an answer
	answer A             // the rival's, as err, when won is closed
	err    error
}

// overdue asks the rival, if there is one and it can be paid for.
func (h *hedge[A]) overdue() <-chan struct{} {
	o := h.overlay
	rival, ok := o.rival(h.peer, h.route)
	if !ok || !o.pace.spend() {
		return nil
	}
	ctx, cancel := context.WithCancel(h.ctx)
	h.began, h.cancel, h.ended, h.won = time.Now(), cancel, make(chan struct{}), make(chan struct{})
	o.traffic.hedges.Add(1)
	started := o.start(func() {
		defer close(h.ended)
		var answer A
		var err error
		if rival == nil {
			o.traffic.direct.Add(1)
			answer, err = h.origin(ctx)
		} else {
			answer, err = askPeer(ctx, h.question, rival, nil)
		}
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
		h.ended = nil
		return nil
	}
	return h.won
}

// result is the answer to the question, given what the peer said.
func (h *hedge[A]) result(answer A, err error) (A, error) {
	if h.ended == nil {
		return answer, err
	}
	defer h.cancel()
	if failed := (*peerError)(nil); errors.As(err, &failed) {
		select { // the rival is the next to be asked anyway
		case <-h.ended:
		case <-h.ctx.Done():
		}
	}
	if h.settle.CompareAndSwap(false, true) {
		return answer, err // whatever the rival still says is dropped
	}
	if answers(err) { // both came at once
		discard(answer)
	}
	<-h.won
	h.overlay.traffic.hedgesWon.Add(1)
	h.judge()
	return h.answer, h.err
}

// judge notes that the peer was overtaken. It counts only if the rival took a fraction of the time that the
// peer had: where both wait for the PFS, the one that is nearer to it comes in first by little.
func (h *hedge[A]) judge() {
	if 4*time.Since(h.began) < h.overlay.timing.Hedge && h.peer.outrun.Add(1) >= maxOutrun {
		h.peer.outrun.Store(0)
		h.peer.slowed("others answer much faster")
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
