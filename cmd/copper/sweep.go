package main

import (
	"context"
	"fmt"
	"os"

	"github.com/copper-hpc/copper/launch"
)

// sweepCmd is run by other coppers on each host of a job that can't be ended in order.
type sweepCmd struct{ jobOptions }

func (c *sweepCmd) Run() error {
	finder, err := c.finder()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n", finder.Host, launch.Reached)
	defer fmt.Printf("%s: %s\n", finder.Host, launch.Swept)
	for _, line := range finder.Sweep(context.Background(), launch.NodeMounts(program)) {
		fmt.Printf("%s: %s\n", finder.Host, line)
	}
	return nil
}

// sweeper runs copper sweep on hosts by launcher; nil where there are no others than this one. They are
// of a, and may be fewer.
func sweeper(program string, launcher launch.Launcher, a launch.Allocation, hosts []string, job *jobOptions) *launch.Others {
	if hosts == nil {
		return nil
	}
	part := len(hosts) < len(a.Hosts)
	var down func(context.Context) []string
	if a.Scheduler == launch.Slurm { // to others' launchers, what PBS says means little
		down = a.Down
	}
	return &launch.Others{Hosts: hosts, Down: down, Command: func(id string, some []string) launch.Command {
		return launcher.Command(launch.Step{Ranks: len(some), Hosts: some, Part: part || len(some) < len(hosts), Program: program,
			HostFile: launch.JobDirOf(job.Dir, id).SweepHostFile(), Args: []string{"sweep", "--job", id, "--dir", job.Dir}, Root: os.Geteuid() == 0, Plain: true})
	}}
}

// others finds out how to reach the other hosts of the scheduler's job; nil if that can't be told.
func (o *jobOptions) others(program string) *launch.Others {
	allocation, err := launch.FindAllocation(os.Getenv)
	if err != nil || allocation.Hosts == nil {
		return nil
	}
	launcher, err := launcherFor(program, len(allocation.Hosts), allocation.Scheduler)
	if err != nil {
		return nil
	}
	return sweeper(program, launcher, allocation, allocation.Hosts, o)
}
