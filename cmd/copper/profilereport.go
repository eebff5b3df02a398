package main

import (
	"fmt"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/profiling"
)

type profileReportCmd struct {
	profileInput
	Prefix string `arg:"" optional:"" default:"cluster" help:"What the name of the written file begins with (${default})."`
}

// Validate is called by kong.
func (c *profileReportCmd) Validate() error { return checkOutputPrefix(c.Prefix) }

func (c *profileReportCmd) Run() error {
	found, err := c.find(profiling.AggregateFile)
	if err != nil {
		return err
	}
	sum, err := profiling.Aggregate(found.Set)
	if err != nil {
		return err
	}
	file, err := sum.WriteReport(c.Out, c.Prefix, found.Job, about(found.Job))
	if err != nil {
		return err
	}
	fmt.Println(file)
	return nil
}

// about is what the job's directory tells of the job.
func about(job profiling.Dir) (a profiling.About) {
	a.Origin = append(a.Origin, profiling.Labelled{Label: "made by", Value: thisBuild().String()})
	if job == "" {
		return a
	}
	dir := launch.JobDir(job)
	state, err := dir.ReadState()
	if err != nil || state == nil {
		return a
	}
	a.Job, a.Expected = state.ID, len(state.Ranks)
	a.Origin = append(a.Origin,
		profiling.Labelled{Label: "job's directory", Value: string(job)},
		profiling.Labelled{Label: "started", Value: state.Started.Format(time.DateTime)},
		profiling.Labelled{Label: "state", Value: fmt.Sprintf("%s, since %s", state.Phase, state.Changed.Format(time.DateTime))})
	if command, err := dir.LauncherCommand(); err == nil && command != "" {
		a.Origin = append(a.Origin, profiling.Labelled{Label: "launched by", Value: command})
	}
	return a
}
