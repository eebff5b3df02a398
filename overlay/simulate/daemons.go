package simulate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// job is a job of real overlays and stores over a virtual network. All of it lives in a bubble.
type job struct {
	plan     Plan
	world    *World
	pfs      *pfs
	progress func(done, of int64)
	nodes    []*node
	begin    time.Time
	done     atomic.Int64 // accesses
}

// progressStep is how many accesses are done between two words of progress.
const progressStep = 1 << 14

// node is one node of a job.
type node struct {
	*job
	host    *overlay.VirtualHost
	memory  *store.Memory
	overlay *overlay.Overlay
	store   *store.Store
	ahead   *store.Readahead
	took    time.Duration // until it had everything
	serving sync.WaitGroup
}

// budget is what a node may cache: enough for everything, since a manifest that does not fit is
// another question than how the trees do.
func budget(w *World) int64 {
	return store.MinMemory + 2*w.bytes + 2*(int64(len(w.accesses))+w.chunks)*4096
}

// runDaemons runs the manifest on n nodes of the daemons' own code.
func runDaemons(
	bubble Bubble, p Plan, w *World, n int, forest *overlay.Forest, hollow *store.Hollow, progress func(done, of int64),
) (o outcome, err error) {
	bubble(func() {
		j := &job{plan: p, world: w, pfs: newPFS(p.PFS, w), progress: progress}
		defer j.close()
		if err = j.start(n, forest, hollow); err != nil {
			return
		}
		if err = j.replay(); err != nil {
			return
		}
		o.took = time.Since(j.begin)
		o.pfs = j.pfs.side.count
		for _, m := range j.nodes {
			o.sent = append(o.sent, m.host.Sent())
		}
	})
	return o, err
}

// start brings the nodes up; none has asked anything then.
func (j *job) start(n int, forest *overlay.Forest, hollow *store.Hollow) error {
	wire := j.plan.Wire
	wire.Hollow = hollow.Bytes()
	network := overlay.NewVirtualNetwork(wire)
	roster := Roster(n)
	for rank := range roster {
		m := &node{job: j, host: network.Host()}
		var err error
		if m.memory, err = hollow.Memory(budget(j.world)); err != nil {
			return err
		}
		ln, err := m.host.Listen(roster[rank].Endpoints[0])
		if err != nil {
			return err
		}
		m.overlay, err = overlay.New(overlay.Config{
			Self: rank, Nodes: roster, Forest: forest, Memory: m.memory, Transport: m.host,
		}, j.pfs.client(m.memory))
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		m.store = store.NewStore(m.overlay, m.memory)
		m.ahead = store.NewReadahead(m.store, m.memory)
		m.serving.Go(func() { _ = m.overlay.Serve(ln, m.store) }) // a virtual listener does not fail
		j.nodes = append(j.nodes, m)
	}
	return nil
}

// Roster is the roster of n simulated nodes.
func Roster(n int) []overlay.Node {
	roster := make([]overlay.Node, n)
	for rank := range roster {
		host := fmt.Sprintf("x%d", rank)
		roster[rank] = overlay.Node{Rank: rank, Host: host, Endpoints: []string{"mem://" + host}}
	}
	return roster
}

// replay lets all nodes begin together and returns when all are done.
func (j *job) replay() error {
	j.begin = time.Now()
	errs := make([]error, len(j.nodes))
	var running sync.WaitGroup
	for rank, m := range j.nodes {
		running.Go(func() {
			errs[rank] = m.replay(context.Background())
			m.took = time.Since(j.begin)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// replay asks what the manifest says, in its order, at most Plan.InFlight at one time.
func (m *node) replay(ctx context.Context) error {
	if m.plan.InFlight <= 1 {
		for _, a := range m.world.accesses {
			if err := m.ask(ctx, a); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	var running sync.WaitGroup
	errs := make([]error, m.plan.InFlight)
	for i := range errs {
		running.Go(func() {
			for errs[i] == nil {
				k := int(next.Add(1)) - 1
				if k >= len(m.world.accesses) {
					return
				}
				errs[i] = m.ask(ctx, m.world.accesses[k])
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// ask does one access, as the kernel passes it on.
func (m *node) ask(ctx context.Context, a manifest.Access) error {
	time.Sleep(m.plan.Access)
	if done := m.done.Add(1); done%progressStep == 0 {
		m.progress(done, int64(len(m.nodes)*len(m.world.accesses)))
	}
	var err error
	switch a.Op {
	case manifest.Stat:
		_, err = m.store.Stat(ctx, a.Path, store.Version{})
		var said *store.Error
		if a.Kind == manifest.Absent && errors.As(err, &said) && said.Absent() {
			err = nil
		}
	case manifest.List:
		_, err = m.store.List(ctx, a.Path, nil)
	case manifest.ReadLink:
		_, err = m.store.ReadLink(ctx, a.Path)
	case manifest.ReadData:
		f := store.File{Path: a.Path, Version: m.world.attrs[a.Path].Version()}
		for i := range chunksOf(a) {
			var c *store.Chunk
			if c, err = m.ahead.ReadChunk(ctx, f, i); err != nil {
				break
			}
			c.Release()
		}
	}
	return err
}

// close ends the job; nothing of it may be left in the bubble.
func (j *job) close() {
	for _, m := range j.nodes {
		m.ahead.Close()
	}
	for _, m := range j.nodes {
		_ = m.overlay.Close()
		m.serving.Wait()
	}
	for _, m := range j.nodes {
		m.store.Forget("/")
	}
}
