package main

import (
	"fmt"
	"os"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

type profileCmd struct {
	Aggregate profileAggregateCmd `cmd:"" help:"Sum the daemons' files of a job up."`
	Paths     profilePathsCmd     `cmd:"" help:"List the paths that a job used, did not use, and missed; of a job with -A."`
	Report    profileReportCmd    `cmd:"" help:"Make one page of HTML, with plots, of a job."`
	Metrics   profileMetricsCmd   `cmd:"" help:"Print what is counted, and the mount's ioctls, as tables in Markdown."`
}

type profileMetricsCmd struct{}

func (*profileMetricsCmd) Run() error {
	if err := profiling.WriteMetrics(os.Stdout); err != nil {
		return err
	}
	fmt.Println()
	return profiling.WriteIoctls(os.Stdout)
}

// ioctls carries out what scripts ask of this node through the mount.
func (d *daemon) ioctls() *profiling.Ioctls {
	return &profiling.Ioctls{Dir: profiling.Dir(d.Dir), Snapshot: d.snapshot, Contents: d.store.Contents,
		Clear:         func() { _, _ = d.clear("/") },
		ClearAbsences: func() { _ = d.forgetKernel("/", d.store.ForgetAbsences()) }, // who waits is logged
	}
}

// snapshot reads all counters; paths tells whether the table of all paths is wanted too.
func (d *daemon) snapshot(paths bool) *profiling.Snapshot {
	s := &profiling.Snapshot{Host: d.host(), PID: os.Getpid(), Rank: d.roster.Self, Restarts: d.Restarts,
		Taken: time.Now(), Up: time.Since(d.raised), KernelCache: d.options.Kernel != "off",
		Store: d.store.Stats(), PFS: d.origin.Counts()}
	if v := d.view.Load(); v != nil {
		f := v.Stats()
		s.Requests, s.PushedBytes = f.Requests, int64(f.PushedBytes)
		s.Compression.Decoded = d.expand.Decoded()
	}
	made := d.compress.Counts()
	c := &s.Compression
	c.Tried, c.Skipped, c.RawBytes, c.EncodedBytes = made.Encoded+made.Skipped, made.Skipped, made.RawBytes, made.EncodedBytes
	warm := d.warming.warmth()
	s.Warmed, s.WarmedBytes = warm.Done, warm.Mapped
	o := d.overlay.Stats()
	s.Network = profiling.Network{Failovers: o.Failovers, DirectReads: o.Direct, Hedges: o.Hedges,
		HedgesWon: o.HedgesWon, Suspects: int64(o.Suspects), Slow: int64(o.Slow)}
	for _, t := range o.Trees {
		s.Network.Trees = append(s.Network.Trees, profiling.Tree{Asked: t.Asked, Answered: t.Answered, BytesIn: t.BytesIn, BytesOut: t.BytesOut})
	}
	s.Add(d.profile, paths)
	return s
}
