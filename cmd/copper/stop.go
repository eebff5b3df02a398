package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/copper-hpc/copper/launch"
)

type stopCmd struct{ jobOptions }

func (c *stopCmd) Run() error {
	finder, err := c.finder()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	finder.Others = c.others(program)
	finder.Say = func(line string) { fmt.Fprintln(os.Stderr, "copper:", line) }
	mounts := launch.NodeMounts(program)
	job, err := finder.Find()
	var none *launch.NoJobError
	if errors.As(err, &none) {
		for _, line := range finder.Tidy(context.Background(), mounts) {
			fmt.Fprintln(os.Stderr, "copper:", line)
		}
	}
	if err != nil {
		return err
	}
	last, report, err := finder.Stop(context.Background(), job, mounts)
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
