package launch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// WarmOrder says what every node is to bring into its memory. With neither field it only asks how
// far the node is.
type WarmOrder struct {
	Manifest []byte `json:"manifest,omitempty"` // what store/manifest writes, compressed with gzip
	Dir      string `json:"dir,omitempty"`      // path in the view
}

// MaxManifest bounds the manifest of a [WarmOrder], in bytes.
const MaxManifest = 16 << 20

// Warmth is how far a node has come with all that it was ordered to warm.
type Warmth struct {
	Active   bool  `json:"active"`
	Accesses int64 `json:"accesses"` // to be made, as far as is known yet
	Done     int64 `json:"done"`     // of Accesses
	Bytes    int64 `json:"bytes"`    // of file data, in memory now
	Mapped   int64 `json:"mapped"`   // of Bytes, in the page cache now
	LeftOut  int64 `json:"left_out"` // bytes of file data for which there was no room
	Gone     int64 `json:"gone"`     // accesses to what is not there any more
	Changed  int64 `json:"changed"`  // files that are not as they were when the manifest was recorded
	Failed   int64 `json:"failed"`   // accesses that met another error
}

// Plus sums up; what is active makes the whole active.
func (w Warmth) Plus(o Warmth) Warmth {
	w.Active = w.Active || o.Active
	w.Accesses += o.Accesses
	w.Done += o.Done
	w.Bytes += o.Bytes
	w.Mapped += o.Mapped
	w.LeftOut += o.LeftOut
	w.Gone += o.Gone
	w.Changed += o.Changed
	w.Failed += o.Failed
	return w
}

const (
	warmPoll  = 200 * time.Millisecond
	warmStall = 5 * time.Minute // without any progress
)

// Warmed is the warming of a whole job.
type Warmed struct {
	Nodes   int    // that answered
	Missing int    // ranks that did not
	Sum     Warmth // over Nodes
}

// Warm lets every node of the job do what the order says, shows how far they are, and returns when
// none is active any more. When ctx ends before, the nodes go on.
func (f Finder) Warm(ctx context.Context, job *Job, order WarmOrder, show func(Warmed)) (Warmed, error) {
	r := NewRequest(OpWarm)
	r.Warm = &order
	w, err := f.warmth(ctx, job, r)
	r.Warm = &WarmOrder{}
	poll := time.NewTicker(warmPoll)
	defer poll.Stop()
	moved := time.Now()
	for err == nil && w.Sum.Active {
		show(w)
		select {
		case <-poll.C:
		case <-ctx.Done():
			return w, fmt.Errorf("interrupted: the nodes go on warming; copper status shows them: %w", ctx.Err())
		}
		last := w
		if w, err = f.warmth(ctx, job, r); w != last {
			moved = time.Now()
		} else if time.Since(moved) > warmStall {
			return w, fmt.Errorf("the nodes have not come further in %v; copper status and copper doctor may tell why", warmStall)
		}
	}
	if err == nil {
		show(w)
	}
	return w, err
}

func (f Finder) warmth(ctx context.Context, job *Job, r Request) (Warmed, error) {
	resp, err := f.ask(ctx, job, r)
	if err != nil {
		return Warmed{}, fmt.Errorf("job %s: %w", job.State.ID, err)
	}
	w := Warmed{Missing: len(resp.Missing), Nodes: resp.Hello.Size - len(resp.Missing)}
	if resp.Sum != nil {
		if err := json.Unmarshal(resp.Sum, &w.Sum); err != nil {
			return w, fmt.Errorf("job %s: %w", job.State.ID, err)
		}
	}
	if w.Nodes == 0 {
		failed := "no answer"
		for _, m := range resp.Missing {
			failed = cmp.Or(m.Error, failed)
		}
		return w, fmt.Errorf("job %s: no node can warm: %s", job.State.ID, failed)
	}
	return w, nil
}

// Hello asks who a daemon of the job on this node is.
func (f Finder) Hello(ctx context.Context, job *Job) (*Hello, error) {
	resp, err := f.ask(ctx, job, NewRequest(OpHello))
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", job.State.ID, err)
	}
	return resp.Hello, nil
}
