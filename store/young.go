package store

import (
	"context"
	"sync"
	"time"
)

// Clocks of file systems tick: a file that is changed twice within a tick, at the same size, has the
// same [Version] after either. So the content of a version is only read when its tick is over; whatever
// happens to the file then shows in its version.
const (
	// fineTick is longer than a tick of the kernel (1 to 10 ms) and a large write(2), which sets the time
	// once, at its beginning.
	fineTick = 50 * time.Millisecond
	// coarseTick is that of a file system whose times are whole seconds (Lustre, older NFS servers).
	coarseTick = 1100 * time.Millisecond
	// fineDoubt and coarseDoubt are the ages from which a version's tick is over, whatever small
	// difference there is between the file system's clock and this one.
	fineDoubt   = 250 * time.Millisecond
	coarseDoubt = 3 * time.Second
	// youngLimit bounds the versions that are remembered.
	youngLimit = 1024
)

// young knows the versions that were too young to be read, by when they were first asked for: by this
// node's own clock, so that one of the future is read after one tick too.
type young struct {
	mu    sync.Mutex
	since map[Version]time.Time
}

// settle waits until the tick in which v came to be is over.
func (y *young) settle(ctx context.Context, v Version) error {
	left := y.left(v, time.Now())
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (y *young) left(v Version, now time.Time) time.Duration {
	tick, doubt := fineTick, fineDoubt
	if v.Mtime%1e9 == 0 && v.Ctime%1e9 == 0 {
		tick, doubt = coarseTick, coarseDoubt
	}
	if now.UnixNano()-max(v.Mtime, v.Ctime) > int64(doubt) {
		return 0
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	first, known := y.since[v]
	if !known {
		if y.since == nil || len(y.since) >= youngLimit {
			y.since = map[Version]time.Time{} // who was in it waits once more
		}
		first = now
		y.since[v] = first
	}
	return tick - now.Sub(first)
}
