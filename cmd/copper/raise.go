package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/profiling"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// raise puts the daemon's parts together.
func (d *daemon) raise() (err error) {
	if d.footprint, err = launch.ReadFootprint(d.Footprint); err != nil {
		return err
	}
	d.raised, d.profile = time.Now(), profiling.NewRecorder(d.options.recorder())
	d.log.Info("the daemon starts", "pid", os.Getpid(), "restarts", d.Restarts)
	if err := d.chain(d.roster, d.Sharers); err != nil {
		return err
	}
	d.keepFabric()
	if err := d.show(); err != nil {
		return err
	}
	if d.control, err = launch.ServeControl(d.footprint.ControlDir(), d.channel, d.gather, d.log); err != nil {
		return err
	}
	if err := d.beginExports(); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	d.keepFabric()
	asked := time.Now()
	if err := launch.Probe(context.Background(), program, d.footprint.Mount, true); err != nil {
		return fmt.Errorf("the mount does not answer: %w", err)
	}
	d.log.Info("the mount answers", "mount", d.footprint.Mount, "after", time.Since(asked))
	return nil
}

// chain builds store – overlay – origin and serves the other nodes.
func (d *daemon) chain(roster *mpiboot.Roster, sharers int) (err error) {
	budget := int64(d.options.Memory)
	if budget == 0 {
		budget = launch.DefaultMemory(sharers)
	}
	if d.memory, err = store.NewMemory(budget); err != nil {
		return err
	}
	d.heap = newHeapLimit()
	d.heap.follow(0, budget)
	d.origin, err = store.NewOrigin(d.Target, d.memory,
		store.OriginOptions{NegativeLifetime: time.Duration(d.options.Enoent) * time.Millisecond})
	if err != nil {
		return &launch.InputError{Err: err}
	}
	if d.policy, err = overlay.NewCompression(d.options.Compress); err != nil {
		return &launch.InputError{Err: err}
	}
	d.compress = store.NewCompress(d.origin, d.policy.Encoding)
	cfg := overlay.Config{Self: roster.Self, Nodes: nodesOf(roster), Secret: roster.Secret, Encrypt: d.options.Encrypt,
		Trees: d.options.Trees, Fanout: d.options.Fanout, Memory: d.memory, Log: d.log, Local: d.origin.Local,
		Compression: d.policy, Transport: d.transport(),
		OnFirst: func(op string) {
			d.log.Info(fmt.Sprintf("first successful parent rpc_%s completed after %d us since provider startup",
				op, time.Since(d.Began).Microseconds()))
		}}
	if d.overlay, err = overlay.New(cfg, d.compress); err != nil {
		return err
	}
	var router store.Source = d.overlay
	if most := int64(d.options.Direct); most > 0 {
		router = store.NewDirect(d.overlay, d.origin, most)
	}
	d.store = store.NewStore(router, d.memory)
	d.store.OnChange = func(path string) { // children may ask the store before there is a mount
		if v := d.view.Load(); v != nil {
			v.Changed(path)
		}
	}
	d.front = d.store
	if allow := d.options.Allow; !slices.Contains(allow, "/") {
		d.front = store.NewAllow(d.store, allow)
		d.log.Info("only these prefixes are served", "allow", allow)
	}
	d.warming = newWarming(d)
	d.channel = &launch.Daemon{
		Hello:  launch.Hello{Job: d.Dir.ID(), Rank: roster.Self, Size: len(roster.Cards), PID: os.Getpid(), Mount: d.footprint.Mount, Target: d.Target, Dir: d.Dir},
		Status: d.status, Counted: func() profiling.Sum { return d.snapshot(false).Sum() }, Hold: d.hold, Clear: d.clear, Warm: d.warming.order, Unmount: d.unmount, Exit: d.letGo,
	}
	d.overlay.Handle(d.channel.Answer, func(req []byte) overlay.Sum { return launch.NewSum(req) })
	own, err := d.listenOverFabric()
	if d.listeners = append(d.listeners, own...); err != nil {
		return err
	}
	for _, l := range d.listeners {
		go func() {
			if err := d.overlay.Serve(l, d.front); err != nil {
				d.log.Error("the other nodes can't be answered any more", "endpoint", l.Addr(), "error", err)
			}
		}()
	}
	d.log.Info(fmt.Sprintf("provider registration completed after %d us", time.Since(d.Began).Microseconds()))
	return nil
}

func nodesOf(roster *mpiboot.Roster) []overlay.Node {
	nodes := make([]overlay.Node, len(roster.Cards))
	for i, c := range roster.Cards {
		nodes[i] = overlay.Node{Rank: c.Rank, Host: c.Host, Endpoints: slices.Clone(c.Endpoints)}
	}
	return nodes
}

// show mounts the view.
func (d *daemon) show() error {
	d.ahead = store.NewReadahead(d.front, d.memory)
	d.expand = store.NewExpand(d.ahead, d.memory)
	d.expand.OnDamaged = func(path string) {
		d.log.Error("compressed data in memory is damaged; it is read again", "path", path)
		d.store.Forget(path)
	}
	d.recorder = manifest.NewRecorder(d.expand)
	options := fuse.Options{Mountpoint: d.footprint.Mount, Replace: d.Restarts > 0, Shut: d.shut,
		Source: d.recorder, StatFS: d.origin.StatFS, Log: d.log,
		Ioctl:         d.ioctls().Run,
		NoKernelCache: d.options.Kernel == "off",
		Observe:       func(a fuse.Answer) { d.profile.Answered(profiling.Answer(a)) }}
	if d.options.Symlinks == "view" {
		options.Links = d.origin.LinkInView
	}
	d.beginProfiling()
	m, err := fuse.New(options)
	if err != nil {
		return inputIfSetup(err)
	}
	v := &view{Mount: m, since: time.Now(), gone: make(chan struct{})}
	d.view.Store(v)
	go func() {
		m.Wait()
		close(v.gone)
	}()
	return nil
}

// namesBound is how long a new daemon's mount waits for the names in the view's root.
const namesBound = 2 * time.Second

// shut shuts the directory beneath the mount. The names come from the PFS: one question when a daemon
// has died, while the other nodes may be busy to notice that.
func (d *daemon) shut() (open func()) {
	ctx, cancel := context.WithTimeout(context.Background(), namesBound)
	defer cancel()
	listing, err := d.origin.List(ctx, "/", nil)
	if err != nil {
		d.log.Warn("the directory beneath the mount shows for a moment", "error", err)
		return func() {}
	}
	names := make([]string, len(listing.Entries))
	for i, e := range listing.Entries {
		names[i] = e.Name
	}
	launch.Shut(d.supervised.Beneath, names)
	return func() { launch.OpenShutters(d.supervised.Beneath) }
}

func (d *daemon) gather(ctx context.Context, req []byte) (sum []byte, missing []launch.MissingRank, err error) {
	g, err := d.overlay.Gather(ctx, req)
	for _, m := range g.Missing {
		missing = append(missing, launch.MissingRank{Rank: m.Rank, Error: m.Err})
	}
	return g.Body, missing, err
}
