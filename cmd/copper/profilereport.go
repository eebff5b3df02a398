package main

import (
	"errors"
	"fmt"
	"os"
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
	sum, about, err := c.counted()
	if err != nil {
		return err
	}
	file, err := sum.WriteReport(c.Out, c.Prefix, about)
	if err != nil {
		return err
	}
	fmt.Println(file)
	if about.Missing != "" {
		fmt.Fprintln(os.Stderr, "copper:", about.Missing)
	}
	return nil
}

// counted sums up what there is of a job: the set that was asked for, else the last that was written,
// else nothing.
func (c *profileReportCmd) counted() (*profiling.Cluster, profiling.About, error) {
	found, err := c.find(profiling.AggregateFile)
	missing := ""
	var none *profiling.NoProfileError
	if errors.As(err, &none) && none.Early {
		missing = none.Error()
		job := profiling.Dir(none.Dir)
		tag := job.LastSet(profiling.AggregateFile)
		if tag == "" {
			if c.Out == "" {
				c.Out = job.Cluster()
			}
			return profiling.Nothing(), about(job, missing), nil
		}
		missing = fmt.Sprintf("These are the counts of %s, the last set that was written: %s.", tag, none.State)
		c.Tag = tag
		found, err = c.find(profiling.AggregateFile)
	}
	if err != nil {
		return nil, profiling.About{}, err
	}
	sum, err := profiling.Aggregate(found.Set)
	if err != nil {
		return nil, profiling.About{}, err
	}
	a := about(found.Job, missing)
	a.Origin = append([]profiling.Labelled{{Label: "counted by", Value: found.Set}}, a.Origin...)
	return sum, a, nil
}

// about is what the job's directory tells of the job.
func about(job profiling.Dir, missing string) (a profiling.About) {
	a.Missing = missing
	say := func(label, value string) {
		if value != "" {
			a.Origin = append(a.Origin, profiling.Labelled{Label: label, Value: value})
		}
	}
	defer func() { say("this page by", thisBuild().String()+", "+time.Now().Format(time.DateTime)) }()
	if job == "" {
		return a
	}
	dir := launch.JobDir(job)
	say("job's directory", string(job))
	state, err := dir.ReadState()
	if err != nil || state == nil {
		return a
	}
	a.Job = state.ID
	a.When = fmt.Sprintf("%s, %s", state.Started.Format("2 January 2006 15:04:05"), state.Phase)
	if ready := state.Reached[launch.Ready]; !ready.IsZero() && !state.Phase.Running() {
		a.When += fmt.Sprintf(" after %s", state.Changed.Sub(ready).Round(100*time.Millisecond))
	}
	for _, r := range state.Ranks {
		a.Hosts = append(a.Hosts, r.Host)
	}
	say("it failed with", state.Error)
	if ready := state.Reached[launch.Ready]; !ready.IsZero() {
		say("ready", fmt.Sprintf("%s, in %s", ready.Format(time.DateTime), state.Took(state.Started)))
	}
	if command, err := dir.LauncherCommand(); err == nil {
		say("launched by", command)
	}
	say("rank 0", state.Command)
	say("its version", state.Build)
	return a
}
