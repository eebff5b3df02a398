package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/store"
)

// status reads all counters.
func (d *daemon) status() launch.NodeStatus {
	s := launch.NodeStatus{
		Rank: d.roster.Self, Host: d.host(), PID: os.Getpid(), Mount: d.footprint.Mount, Target: d.Target,
		Supervisor: os.Getppid(), SuspectPeers: []launch.SuspectPeer{},
		Counters: launch.Counters{Restarts: d.Restarts, Requests: map[string]int64{}, Store: map[string]launch.Answers{}},
	}
	if v := d.view.Load(); v != nil {
		s.Since = v.since
		f := v.Stats()
		for op, n := range f.Requests {
			s.Requests[op] = int64(n)
		}
		s.ReadBytes, s.PushedBytes = int64(f.ReadBytes), int64(f.PushedBytes)
		s.Kernel = kernelOf(v.Mount)
		s.Compression.Decoded = d.expand.Decoded()
	}
	st := d.store.Stats()
	for op := range store.Ops {
		s.Store[op.String()] = launch.Answers(st.Ops[op])
	}
	s.Evictions = st.Evictions
	s.Memory = launch.MemoryStatus(st.Memory)
	s.Cache = launch.CacheStatus{Tree: launch.TableUse(st.Tree), Meta: launch.TableUse(st.Meta), Data: launch.TableUse(st.Data)}
	p := d.origin.Counts()
	s.PFS = launch.PFSStatus{Bytes: p.Bytes, Operations: map[string]int64{
		"lstat": p.Lstat, "readdir": p.Readdir, "readlink": p.Readlink, "open": p.Open, "read": p.Read,
	}}
	c, made := d.policy.Stats(), d.compress.Counts()
	s.Compression.Mode, s.Compression.Decision, s.Compression.LinkShare = c.Mode, c.Decision.String(), c.Share
	s.Compression.Compressed = s.Compression.Plus(launch.Compressed{
		Tried: made.Encoded + made.Skipped, Skipped: made.Skipped, RawBytes: made.RawBytes, EncodedBytes: made.EncodedBytes,
	})
	s.Warm = d.warming.warmth()
	o := d.overlay.Stats()
	s.Suspects, s.Failovers, s.DirectReads = o.Suspects, o.Failovers, o.Direct
	s.Slow, s.Hedges, s.HedgesWon = o.Slow, o.Hedges, o.HedgesWon
	for _, p := range d.overlay.Suspects() {
		s.SuspectPeers = append(s.SuspectPeers, launch.SuspectPeer(p))
	}
	for i, t := range o.Trees {
		s.Trees = append(s.Trees, launch.TreeStatus{Tree: i, Asked: t.Asked, Answered: t.Answered, BytesIn: t.BytesIn, BytesOut: t.BytesOut})
	}
	return s
}

// clearBound is for the kernel to forget; a directory in use may keep it waiting.
const clearBound = 5 * time.Second

// holdBound is for a clear that never comes.
const holdBound = time.Minute

// hold drops what is known of prefix and below it, and keeps nothing of it until clear.
func (d *daemon) hold(prefix string) int { return d.store.Hold(prefix, holdBound) }

// clear ends a hold, and makes the kernel forget too.
func (d *daemon) clear(prefix string) (entries int, err error) {
	entries = d.store.Release(prefix)
	return entries, d.forgetKernel(prefix, entries)
}

// forgetKernel makes the kernel forget what it knows of prefix and below, as the store did before. The error
// is what it has not forgotten yet.
func (d *daemon) forgetKernel(prefix string, entries int) (err error) {
	if v := d.view.Load(); v != nil {
		v.ChangedBelow(prefix)
		ctx, cancel := context.WithTimeout(context.Background(), clearBound)
		defer cancel()
		if v.Flush(ctx) != nil {
			err = fmt.Errorf("the kernel has not forgotten all within %v: somebody waits for a file or a directory below %s; it will when they have their answer", clearBound, prefix)
			d.log.Warn(err.Error())
		}
	}
	d.log.Info("cleared", "prefix", prefix, "entries", entries)
	return err
}

// unmount ends the mount and leaves the rest of the daemon to the others.
func (d *daemon) unmount() error {
	v := d.view.Load()
	if v == nil {
		return nil
	}
	d.written.beforeUnmount()
	d.keepFabric()
	err := v.Unmount()
	d.writeManifest()
	d.written.afterUnmount()
	return err
}
