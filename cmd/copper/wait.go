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
	printReady(&job.State, job.Dir)
	return nil
}

func progress(ranks int) *launch.Progress {
	return &launch.Progress{Out: os.Stderr, Terminal: launch.IsTerminal(os.Stderr), Ranks: ranks}
}

func printReady(s *launch.State, dir launch.JobDir) {
	fmt.Printf("job %s is ready: %s\noutputs are in %s\n", s.ID, launch.MountList(s.Ranks), dir)
}
