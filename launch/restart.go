package launch

import (
	"fmt"
	"slices"
	"time"
)

// RestartPolicy says when a daemon that died is started again: at once after the first death, after
// a pause that doubles after the next ones, and not any more when it has died too often lately.
type RestartPolicy struct {
	Most    int           // starts again within Window
	Window  time.Duration // deaths longer ago than that are forgotten
	Pause   time.Duration // before the second start again
	Longest time.Duration // pause
}

// DefaultRestartPolicy lets a daemon die five times in ten minutes.
var DefaultRestartPolicy = RestartPolicy{Most: 5, Window: 10 * time.Minute, Pause: 500 * time.Millisecond, Longest: 10 * time.Second}

func (p RestartPolicy) String() string { return fmt.Sprintf("%d restarts in %v", p.Most, p.Window) }

// DefaultHung is how long a daemon may give no sign of life before it counts as hung. A sign takes no
// more than a turn of the scheduler and a few locks, never the PFS; a loaded node gives that within a
// second, and what is hurt by 20 s more is the node's own readers alone.
const DefaultHung = 20 * time.Second

// restarts are the starts again so far.
type restarts struct {
	policy RestartPolicy
	times  []time.Time // within the window, in order
	total  int
}

// next notes one more start again, at now, and tells how long to wait before it; !ok: there must
// be none.
func (r *restarts) next(now time.Time) (pause time.Duration, ok bool) {
	r.times = slices.DeleteFunc(r.times, func(t time.Time) bool { return now.Sub(t) >= r.policy.Window })
	lately := len(r.times)
	if lately >= r.policy.Most {
		return 0, false
	}
	r.times = append(r.times, now)
	r.total++
	if lately == 0 {
		return 0, true
	}
	pause = r.policy.Pause
	for range lately - 1 {
		pause = min(2*pause, r.policy.Longest)
	}
	return pause, true
}
