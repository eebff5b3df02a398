package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
)

// raise puts the daemon's parts together once every rank is known. An error that all ranks can see
// in the roster is reported by one of them, and then the others do nothing.
func (d *daemon) raise(roster *mpiboot.Roster) error {
	d.state.Ranks = ranksOf(roster)
	if clash, err := launch.SharedMount(d.state.Ranks); err != nil {
		if clash != roster.Self {
			return nil
		}
		return err
	}
	if d.state.ID == "" {
		d.state.ID = launch.RankID(roster.Cards[0].Host, roster.Cards[0].PID)
	}
	d.dir = launch.JobDirOf(d.options.Dir, d.state.ID)
	d.log, d.logFile = launch.NewLog(d.options.LogLevel, d.options.LogTo, d.dir.RankLog(d.boot.Host(), os.Getpid()), os.Stdout)
	d.log.Info("starting", "rank", roster.Self, "of", len(roster.Cards), "endpoint", d.listener.Addr(), "target", d.target)
	if roster.Self == 0 {
		if err := d.dir.WriteNodeFile(hostsOf(roster)); err != nil {
			return err
		}
	}
	if err := d.note(launch.Connected); err != nil {
		return err
	}
	here := d.state.On(d.boot.Host())
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := d.claimMountpoint(program, here, roster.Self); err != nil {
		return err
	}
	if err := d.chain(roster, len(here)); err != nil {
		return err
	}
	if err := d.show(); err != nil {
		return err
	}
	if d.control, err = launch.ServeControl(d.footprint.ControlDir(), d.channel, d.gather, d.log); err != nil {
		return err
	}
	if err := launch.Probe(context.Background(), program, d.footprint.Mount, true); err != nil {
		return fmt.Errorf("the mount does not answer: %w", err)
	}
	d.log.Info("the mount answers", "mount", d.footprint.Mount)
	return d.note(launch.Mounted)
}

func ranksOf(roster *mpiboot.Roster) []launch.Rank {
	ranks := make([]launch.Rank, len(roster.Cards))
	for i, c := range roster.Cards {
		ranks[i] = launch.Rank{Rank: c.Rank, Host: c.Host, PID: c.PID, Mount: c.Mount}
	}
	launch.FillMounts(ranks)
	return ranks
}

func hostsOf(roster *mpiboot.Roster) []string {
	hosts := make([]string, len(roster.Cards))
	for i, c := range roster.Cards {
		hosts[i] = c.Host
	}
	return hosts
}

// claimMountpoint makes the mount point free and existing. The first rank of the node also removes
// what killed jobs left elsewhere on it.
func (d *daemon) claimMountpoint(program string, here []launch.Rank, self int) error {
	bases, mounts := launch.ControlBases(), launch.NodeMounts(program)
	var point string
	var points []string
	for _, r := range here {
		points = append(points, r.Mount)
		if r.Rank == self {
			point = r.Mount
		}
	}
	if here[0].Rank == self {
		for _, line := range launch.CleanNode(context.Background(), bases, "", mounts, points...) {
			d.log.Info(line)
		}
	}
	switch did, err := mounts.ClearMountpoint(context.Background(), bases, point); {
	case err != nil:
		return err
	case did:
		d.log.Info("a killed daemon's mount was taken away", "mount", point)
	}
	footprint := launch.NewFootprint(d.dir, self)
	footprint.Mount, footprint.Made = point, launch.MissingDirs(point)
	if err := footprint.Write(bases); err != nil {
		return err
	}
	d.footprint = footprint
	if err := launch.MakeDirs(footprint.Made); err != nil {
		return err
	}
	if err := launch.CheckUserDir(point); err != nil {
		return err
	}
	if err := fuse.CheckMountpoint(point); err != nil {
		return &launch.InputError{Err: err}
	}
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
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(budget + heapBeside)
	}
	d.origin, err = store.NewOrigin(d.target, d.memory,
		store.OriginOptions{NegativeLifetime: time.Duration(d.options.Enoent) * time.Millisecond})
	if err != nil {
		return &launch.InputError{Err: err}
	}
	cfg := overlay.Config{Self: roster.Self, Nodes: nodesOf(roster), Secret: roster.Secret,
		Trees: d.options.Trees, Fanout: d.options.Fanout, Memory: d.memory, Log: d.log, Local: d.origin.Local,
		OnFirst: func(op string) {
			d.log.Info(fmt.Sprintf("first successful parent rpc_%s completed after %d us since provider startup",
				op, time.Since(d.began).Microseconds()))
		}}
	if d.overlay, err = overlay.New(cfg, d.origin); err != nil {
		return err
	}
	d.store = store.NewStore(d.overlay, d.memory)
	d.store.OnChange = func(path string) { // children may ask the store before there is a mount
		if v := d.view.Load(); v != nil {
			v.Changed(path)
		}
	}
	d.channel = &launch.Daemon{
		Hello:  launch.Hello{Job: d.state.ID, Rank: roster.Self, Size: len(roster.Cards), PID: os.Getpid(), Mount: d.footprint.Mount, Dir: d.dir},
		Status: d.status, Clear: d.clear, Unmount: d.unmount, Exit: d.letGo,
	}
	d.overlay.Handle(d.channel.Answer)
	go func() {
		if err := d.overlay.Serve(d.listener, d.store); err != nil {
			d.log.Error("the other nodes can't be answered any more", "error", err)
		}
	}()
	d.log.Info(fmt.Sprintf("provider registration completed after %d us", time.Since(d.began).Microseconds()))
	return nil
}

// heapBeside is what the heap may take beside the budget, in bytes, before the garbage collector
// works harder.
const heapBeside = 256 << 20

func nodesOf(roster *mpiboot.Roster) []overlay.Node {
	nodes := make([]overlay.Node, len(roster.Cards))
	for i, c := range roster.Cards {
		nodes[i] = overlay.Node{Rank: c.Rank, Host: c.Host, Endpoints: slices.Clone(c.Endpoints)}
	}
	return nodes
}

// show mounts the view.
func (d *daemon) show() error {
	d.ahead = store.NewReadahead(d.store, d.memory)
	m, err := fuse.New(fuse.Options{Mountpoint: d.footprint.Mount, Source: d.ahead, StatFS: d.origin.StatFS, Log: d.log})
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

func (d *daemon) gather(ctx context.Context, req []byte) ([]launch.Answer, error) {
	answers, err := d.overlay.Gather(ctx, req)
	gathered := make([]launch.Answer, len(answers))
	for i, a := range answers {
		gathered[i] = launch.Answer{Rank: a.Rank, Data: a.Body}
		if a.Err != "" {
			gathered[i].Err = errors.New(a.Err)
		}
	}
	return gathered, err
}
