package overlay

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// alone is how many peers must fall silent, with no sign of life from anybody meanwhile, for a
	// node to conclude that it is itself cut off.
	alone = 6
	// witnesses is how many nodes of the whole job are tried along with those that would be asked next:
	// as many as it takes to know.
	witnesses = alone
)

// solitude is what a node knows of its own connection to the others. A node that is cut off would else
// wait for one silent peer after the other, anew in every tree; it reads the PFS instead until
// somebody answers a probe.
type solitude struct {
	latest atomic.Int64 // the latest sign of life of anybody, by [Overlay.clock]
	is     atomic.Bool  // nobody can be heard

	mu     sync.Mutex
	fallen int           // silent peers in a row
	over   chan struct{} // closed when solitude ends; nil outside of it
}

// silent counts a peer of which nothing has been heard since some moment.
func (s *solitude) silent(o *Overlay, since time.Time) {
	s.mu.Lock()
	if o.later(&s.latest, since) {
		s.fallen = 0 // others can be heard
		s.mu.Unlock()
		return
	}
	s.fallen++
	begins := s.over == nil && s.fallen >= min(alone, len(o.nodes)-1)
	if begins {
		s.over = make(chan struct{})
		s.is.Store(true)
	}
	s.mu.Unlock()
	if !begins {
		return
	}
	o.log.Warn("no peer can be heard; the parallel file system is asked directly", "silent", alone)
	for _, p := range o.known() {
		if p.distrust(errSilent) {
			p.drop(errSilent)
		}
	}
}

// heard notes a sign of life of anybody.
func (s *solitude) heard(o *Overlay, clock int64) {
	s.latest.Store(clock)
	if !s.is.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		close(s.over)
		s.over, s.fallen = nil, 0
		s.is.Store(false)
		o.log.Info("peers can be heard again")
	}
}

// pause waits until d is over or solitude ends, whichever is first: all who were out of reach for this
// node's own reason are tried at once then. It tells whether ctx outlived that.
func (s *solitude) pause(ctx context.Context, d time.Duration) bool {
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// lookAround finds out, when a peer has been silent for a while, who of those that would be asked next is
// alive, all of them side by side. With them it tries some other nodes, to learn whether it is the
// peers that fell silent or this node that is cut off.
func (o *Overlay) lookAround(tree int, c channel) {
	if c == control {
		return // control requests go down the trees, to whom they concern
	}
	position := o.forest.Position(tree, o.self)
	above := o.forest.ancestors(position)
	if c == bulk {
		above = append(above, o.forest.bulk.ancestors(position)...)
	}
	for _, at := range above {
		o.peer(o.forest.Rank(tree, at)).check()
	}
	for at, tried := 0, 0; at < position && tried < maxStandIns; at++ {
		if p := o.peer(o.forest.Rank(tree, at)); !p.suspect.Load() {
			p.check()
			tried++
		}
	}
	for tried, draws := 0, 0; tried < witnesses && draws < 4*witnesses; draws++ {
		if rank := rand.N(len(o.nodes)); rank != o.self && o.peer(rank).check() {
			tried++
		}
	}
}
