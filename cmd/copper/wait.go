package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/copper-hpc/copper/launch"
)

type waitCmd struct {
	jobOptions
	Timeout time.Duration `name:"timeout" env:"COPPER_TIMEOUT" default:"5m" placeholder:"D" help:"Until every mount answers (${default})."`
}

func (c *waitCmd) Run() error {
	finder, err := c.finder()
	if err != nil {
		return err
	}
	job, err := finder.Wait(context.Background(), c.Timeout, progress(0))
	if err != nil {
		return err
	}
	printReady(&job.State, job.Dir, job.State.Started)
	return nil
}

func progress(ranks int) *launch.Progress {
	return &launch.Progress{Out: os.Stderr, Terminal: launch.IsTerminal(os.Stderr), Ranks: ranks}
}

// printReady says what there is to use; begun is when the waiting for it began.
func printReady(s *launch.State, dir launch.JobDir, begun time.Time) {
	fmt.Printf("job %s is ready: %s\nafter %s\noutputs are in %s\n", s.ID, launch.MountList(s.Ranks), s.Took(begun), dir)
}
