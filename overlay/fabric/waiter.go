package fabric

import (
	"sync"
	"time"
)

// waiter is those who wait for an end to be readable or writable.
type waiter struct {
	cond     sync.Cond
	deadline time.Time
	timer    *time.Timer
}

func (w *waiter) passed() bool { return !w.deadline.IsZero() && !time.Now().Before(w.deadline) }

// wait returns when something may have changed. Called with the connection's lock, which it gives up meanwhile.
func (w *waiter) wait(wake func()) {
	if !w.deadline.IsZero() {
		if after := time.Until(w.deadline); w.timer == nil {
			w.timer = time.AfterFunc(after, wake)
		} else {
			w.timer.Reset(after)
		}
	}
	w.cond.Wait()
}

func (w *waiter) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
