package slowfs

import (
	"sync"
	"time"
)

// credit is how much unused time a budget remembers. It makes up for timers that fire late, so
// that a client which asks for one thing at a time still gets the full rate.
const credit = 10 * time.Millisecond

// budget hands out a rate, shared by everyone who takes from it: a queue in front of one server
// that works off rate units per second. It reserves points in time and never waits itself.
type budget struct {
	rate float64 // units per second; 0: unlimited

	mu   sync.Mutex
	free time.Time // when all that was reserved so far will have been worked off
}

// take reserves n units and returns how long from now the caller must wait for its turn to end.
func (b *budget) take(now time.Time, n int64) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if oldest := now.Add(-credit); b.free.Before(oldest) {
		b.free = oldest
	}
	b.free = b.free.Add(time.Duration(float64(n) / b.rate * float64(time.Second)))
	return max(0, b.free.Sub(now))
}

// clock is the time that operations wait in; tests inject their own.
type clock interface {
	Now() time.Time
	// wait returns true after d, or false as soon as done is closed.
	wait(d time.Duration, done <-chan struct{}) bool
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) wait(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
