package main

import (
	"context"
	"fmt"
	"os"

	"github.com/copper-hpc/copper/launch"
)

type stopCmd struct{ jobOptions }

func (c *stopCmd) Run() error {
	finder, job, err := c.find()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	last, report, err := finder.Stop(context.Background(), job, launch.NodeMounts(program))
	for _, line := range report {
		fmt.Fprintln(os.Stderr, "copper:", line)
	}
	if last != nil {
		if err := last.WriteSummary(os.Stdout); err != nil {
			return err
		}
	} else if err == nil {
		fmt.Printf("job %s ended; outputs are in %s\n", job.State.ID, job.Dir)
	}
	return err
}
