package profiling

import (
	"slices"
	"sync"
	"time"
)

// tick is a moment, in tenths of a second since 1970: those of all nodes are the same.
type tick int64

const ticks = 10 // in a second

func tickOf(t time.Time) tick { return tick(t.UnixMilli() / (1000 / ticks)) }

// seconds has one decimal.
func (t tick) seconds() float64 { return float64(t) / ticks }

// mostSpans bounds a daemon's timeline.
const mostSpans = 256

// Span is what was answered within a stretch of time: from Began on and before Ended.
type Span struct {
	Began, Ended tick
	Requests     int64
	Misses       int64
	Took         time.Duration // of all of them together
}

func (p *Span) add(o Span) {
	p.Ended = o.Ended
	p.Requests += o.Requests
	p.Misses += o.Misses
	p.Took += o.Took
}

// spans counts answers by time: finely where there are many, as when an application starts, and coarsely
// over the hours in which there is one now and then.
type spans struct {
	mu  sync.Mutex
	all []Span // by time, not overlapping
}

func (s *spans) note(a Answer) {
	now := tickOf(a.Began.Add(a.Took))
	one := Span{Began: now, Ended: now + 1, Requests: 1, Took: a.Took}
	if a.Waited {
		one.Misses = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.all); n > 0 && now < s.all[n-1].Ended { // also what comes a little late
		one.Ended = s.all[n-1].Ended
		s.all[n-1].add(one)
		return
	}
	s.all = append(s.all, one)
	if len(s.all) > mostSpans {
		s.joinTwo()
	}
}

// joinTwo makes the two neighbours with the fewest requests one. The last is still being counted.
func (s *spans) joinTwo() {
	least := 0
	for i := range len(s.all) - 2 {
		if s.all[i].Requests+s.all[i+1].Requests < s.all[least].Requests+s.all[least+1].Requests {
			least = i
		}
	}
	s.all[least].add(s.all[least+1])
	s.all = slices.Delete(s.all, least+1, least+2)
}

func (s *spans) read() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}
