package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

type stopCmd struct {
	jobOptions
	Mount string `name:"mount" short:"v" env:"COPPER_MOUNT" type:"path" default:"" placeholder:"DIR" help:"Take a dead mount away there too, on this host; {host} is replaced. The job's own mounts are known."`
}

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
	return errors.Join(err, c.freeMount(finder, program))
}

// freeMount takes away what a job of which nothing else is left has left at the mount point.
func (c *stopCmd) freeMount(finder launch.Finder, program string) error {
	if c.Mount == "" || strings.Contains(c.Mount, "{rank}") {
		return nil
	}
	point := launch.Fill(c.Mount, 0, finder.Host)
	did, err := launch.NodeMounts(program).ClearMountpoint(context.Background(), finder.Bases, point)
	if did {
		fmt.Fprintln(os.Stderr, "copper: a killed daemon's mount was taken away:", point)
	}
	return err
}
