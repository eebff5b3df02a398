package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// mappers is how many files are put into the page cache at once.
const mappers = 4

// warming carries out the orders to warm, one after the other: first everything is asked of the node's
// store, then a child looks at the paths through the mount, so that the kernel knows them, and what was
// read goes into the page cache.
type warming struct {
	daemon  *daemon
	ctx     context.Context // done when the daemon ends
	cancel  context.CancelFunc
	running sync.WaitGroup
	serial  sync.Mutex // held while an order is carried out

	active atomic.Int64
	mapped atomic.Int64

	mu      sync.Mutex
	replays []*manifest.Replay
}

func newWarming(d *daemon) *warming {
	w := &warming{daemon: d}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// order accepts an order, if there is something in it, and tells how far all of them are.
func (w *warming) order(o launch.WarmOrder) (launch.Warmth, error) {
	if len(o.Manifest) > 0 {
		accesses, err := manifest.Read(bytes.NewReader(o.Manifest), "manifest")
		if err != nil {
			return launch.Warmth{}, err
		}
		w.begin(func(r *manifest.Replay) []manifest.Access { return r.Run(w.ctx, accesses) })
	}
	if o.Dir != "" {
		w.begin(func(r *manifest.Replay) []manifest.Access { return r.Walk(w.ctx, o.Dir) })
	}
	return w.warmth(), nil
}

func (w *warming) begin(load func(*manifest.Replay) []manifest.Access) {
	w.active.Add(1)
	w.running.Go(func() {
		defer w.active.Add(-1)
		w.serial.Lock()
		defer w.serial.Unlock()
		r := &manifest.Replay{Source: w.daemon.front, Busy: w.busy, Budget: w.room()}
		w.mu.Lock()
		w.replays = append(w.replays, r)
		w.mu.Unlock()
		loaded := load(r)
		if err := w.show(loaded); err != nil && w.ctx.Err() == nil {
			w.daemon.log.Warn("the kernel was not shown what is warm", "error", err)
		}
		p := r.Progress()
		w.daemon.log.Info("warmed", "accesses", p.Done, "bytes", p.Bytes, "left_out", p.LeftOut, "gone", p.Gone, "changed", p.Changed, "failed", p.Failed)
	})
}

// room is how much file data one order may load, in bytes: three quarters of the budget. The rest is for
// what is asked for meanwhile; what an earlier order loaded gives way like anything else.
func (w *warming) room() int64 { return w.daemon.store.Stats().Memory.Limit / 4 * 3 }

// busy tells whether the application waits for an answer.
func (w *warming) busy() bool {
	v := w.daemon.view.Load()
	return v != nil && v.Waiting() > 0
}

// show makes the kernel know the paths and hold the data.
func (w *warming) show(accesses []manifest.Access) error {
	v := w.daemon.view.Load()
	if v == nil {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var paths bytes.Buffer
	if err := manifest.Write(&paths, accesses); err != nil {
		return err
	}
	if err := launch.Visit(w.ctx, program, w.daemon.footprint.Mount, &paths); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(w.ctx)
	g.SetLimit(mappers)
	for _, a := range accesses {
		if a.Op != manifest.ReadData {
			continue
		}
		g.Go(func() error {
			for index := a.From / store.ChunkSize; index*store.ChunkSize < a.To && ctx.Err() == nil; index++ {
				n, err := v.Preload(ctx, a.Path, index)
				if err != nil {
					w.daemon.log.Debug("not put into the page cache", "path", a.Path, "error", err)
					break // whoever reads it will meet the error
				}
				w.mapped.Add(int64(n))
			}
			return nil
		})
	}
	return g.Wait()
}

// warmth sums all orders up.
func (w *warming) warmth() launch.Warmth {
	sum := launch.Warmth{Active: w.active.Load() > 0, Mapped: w.mapped.Load()}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.replays {
		p := r.Progress()
		sum = sum.Plus(launch.Warmth{Accesses: p.Accesses, Done: p.Done, Bytes: p.Bytes, LeftOut: p.LeftOut, Gone: p.Gone, Changed: p.Changed, Failed: p.Failed})
	}
	return sum
}

// close gives up what is being done and waits for it.
func (w *warming) close() {
	w.cancel()
	w.running.Wait()
}

// writeManifest keeps what this node's kernel asked for, for the next job to be warmed with. One node
// speaks for all: ten thousand files would be a burden, and ranks start alike.
func (d *daemon) writeManifest() {
	if d.roster.Self != 0 || d.recorder == nil {
		return
	}
	accesses := d.recorder.Accesses()
	if len(accesses) == 0 {
		return
	}
	packed, err := pack(accesses)
	if err == nil {
		err = d.Dir.WriteManifest(packed)
	}
	if err != nil {
		d.log.Warn("the job's manifest was not written", "error", err)
	}
}

// pack is a manifest compressed with gzip.
func pack(accesses []manifest.Access) ([]byte, error) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if err := manifest.Write(zip, accesses); err != nil {
		return nil, err
	}
	err := zip.Close()
	return packed.Bytes(), err
}
