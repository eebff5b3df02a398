package launch

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

// Gather sends req to every node of the job, this one included, and returns the sum of their answers, nil if there
// are none, and the ranks that gave none.
type Gather func(ctx context.Context, req []byte) (sum []byte, missing []MissingRank, err error)

// Daemon is what control can make of the daemon that it belongs to. All fields must be set; the
// functions are called concurrently.
type Daemon struct {
	Hello  Hello
	Status func() NodeStatus
	// Counted is what profiling counts.
	Counted func() profiling.Sum
	// Hold drops what is known of prefix and below ("/" for all), and keeps nothing that is learnt of
	// it until Clear, or for a while. It returns the number of table entries dropped.
	Hold func(prefix string) int
	// Clear drops what is known of prefix and below ("/" for all), in the kernel too, and returns
	// the number of table entries dropped. The error is what the kernel has not forgotten yet.
	Clear func(prefix string) (int, error)
	// Warm begins to do what the order says, beside what it does already, and tells how far it is.
	Warm func(WarmOrder) (Warmth, error)
	// Unmount ends the mount within a bound of its own; a second call changes nothing.
	Unmount func() error
	// Exit lets the daemon end. It must not block, and may be called more than once.
	Exit func()

	mu       sync.Mutex
	stopping bool
}

const (
	// exitGrace lets the answer to opExit, and opExit itself to the nodes behind this one, leave.
	exitGrace = 250 * time.Millisecond
	// orphanBound ends a daemon that was told to stop and then heard nothing more.
	orphanBound = 90 * time.Second
)

// Stopping tells whether the job is being stopped: the mount ended because of that then.
func (d *Daemon) Stopping() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopping
}

// Answer answers a request that came over the overlay.
func (d *Daemon) Answer(_ context.Context, req []byte) ([]byte, error) {
	r, err := decodeRequest(req)
	if err != nil {
		return nil, err
	}
	var answer any
	switch r.Op {
	case OpStatus:
		n := d.Status()
		all := summarise(n, d.Counted())
		if r.Rows {
			all.Rows = []NodeStatus{n}
		}
		answer = all
	case OpHold, OpClear:
		prefix := "/"
		if r.Prefix != "" {
			prefix = path.Clean(r.Prefix)
		}
		var c Cleared
		if r.Op == OpHold {
			c.Entries = d.Hold(prefix)
		} else if c.Entries, err = d.Clear(prefix); err != nil {
			return nil, err
		}
		answer = c
	case OpWarm:
		if answer, err = d.Warm(*r.Warm); err != nil {
			return nil, err
		}
	case OpStop:
		d.mu.Lock()
		first := !d.stopping
		d.stopping = true
		d.mu.Unlock()
		if first {
			time.AfterFunc(orphanBound, d.Exit)
		}
		// The counters are read after the last request; the node must not exit before the nodes
		// behind it have answered through it, which only the one who asked knows.
		err := d.Unmount()
		last := d.Status()
		if err != nil {
			last.Error = err.Error()
		}
		answer = summarise(last, d.Counted())
	case opExit:
		time.AfterFunc(exitGrace, d.Exit)
		answer = struct{}{}
	default:
		return nil, fmt.Errorf("request %s is not for all nodes", r.Op)
	}
	return json.Marshal(answer)
}
