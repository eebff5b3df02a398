package fuse

import (
	"context"
	"sync"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// interruptPoll is how often the signals of an interrupted caller are looked at. The kernel sends
// one INTERRUPT a request, whatever comes later, so a second signal can only be seen this way.
const interruptPoll = 100 * time.Millisecond

// request is the context of one kernel request. It is done when the request's deadline passes,
// when a signal is about to end the caller, or when the connection is gone. Most requests are
// answered from memory and never wait: until somebody asks for Done nothing is watched.
type request struct {
	fs       *filesystem
	caller   uint32 // thread that waits for the answer; 0 if it is in another pid namespace
	cancel   <-chan struct{}
	began    time.Time
	deadline time.Time

	mu   sync.Mutex
	done chan struct{} // made by the first Done
	err  error
}

// begin starts a request; the handler must call finish.
func (fs *filesystem) begin(cancel <-chan struct{}, header *gofuse.InHeader) *request {
	now := time.Now()
	return &request{fs: fs, caller: header.Pid, cancel: cancel, began: now, deadline: now.Add(fs.deadline)}
}

// finish ends the context of a request that has its answer, and tells the observer of it; what the
// request itself knows of the answer is filled in.
func (r *request) finish(a Answer, status gofuse.Status) {
	a.Waited = r.end(context.Canceled)
	r.fs.observed(a, r.began, status)
}

// end tells whether anybody waited for the context's end: whether the answer was not in memory.
func (r *request) end(err error) (waited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		if r.done != nil {
			close(r.done)
		}
	}
	return r.done != nil
}

// Deadline implements [context.Context].
func (r *request) Deadline() (time.Time, bool) { return r.deadline, true }

// Value implements [context.Context].
func (r *request) Value(any) any { return nil }

// Done implements [context.Context].
func (r *request) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		if r.err != nil {
			close(r.done)
		} else {
			r.fs.waiting.Add(1)
			go r.watch(r.done)
		}
	}
	return r.done
}

// Err implements [context.Context].
func (r *request) Err() error {
	if time.Now().After(r.deadline) {
		r.end(context.DeadlineExceeded)
	}
	r.mu.Lock()
	err, watched := r.err, r.done != nil
	r.mu.Unlock()
	if err == nil && !watched {
		select {
		case <-r.cancel:
			r.Done() // from now on the caller's signals are watched
		default:
		}
	}
	return err
}

func (r *request) watch(done <-chan struct{}) {
	defer r.fs.waiting.Add(-1)
	deadline := time.NewTimer(time.Until(r.deadline))
	defer deadline.Stop()
	cancel := r.cancel
	var poll <-chan time.Time
	for {
		select {
		case <-done:
			return
		case <-r.fs.dead:
			r.end(context.Canceled)
			return
		case <-deadline.C:
			r.end(context.DeadlineExceeded)
			return
		case <-cancel:
			cancel = nil
			r.fs.counters.count(opInterrupt)
			ticker := time.NewTicker(interruptPoll)
			defer ticker.Stop()
			poll = ticker.C
		case <-poll:
		}
		if r.fs.connectionDead() || endsBySignal(r.caller) {
			r.end(context.Canceled)
			return
		}
	}
}
