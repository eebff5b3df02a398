package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/launch"
)

type launchCmd struct {
	siteOptions
	options
	Nodes *int     `name:"nodes" env:"COPPER_NODES" placeholder:"N" help:"Number of daemons, all on this host (one on each host of the scheduler's job, or one here)."`
	Warm  []string `name:"warm" env:"COPPER_WARM" sep:":" placeholder:"PATH" help:"Load a manifest of an earlier job, or a directory, before returning, as copper warm does; several with a colon between them."`
	Print bool     `name:"print" help:"Print the command that would be run, and do nothing."`
}

// Validate is called by kong.
func (c *launchCmd) Validate() error {
	if c.Nodes != nil && *c.Nodes < 1 {
		return fmt.Errorf("--nodes=%d: want 1 or more", *c.Nodes)
	}
	if err := c.siteOptions.Validate(); err != nil {
		return err
	}
	return c.options.Validate()
}

func (c *launchCmd) Run() error {
	if c.Job = c.id(); c.Job == "" {
		c.Job = launch.StampID(time.Now(), os.Getpid())
	}
	finder, err := c.finder()
	if err != nil {
		return err
	}
	c.forgetMissingBook()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	step, launcher, err := c.step(program)
	if err != nil {
		return err
	}
	here := finder.Host
	if step.Hosts != nil && launch.RankOn(step.Hosts, here) < 0 {
		here = ""
	}
	if err := c.preview(os.Stderr, here); err != nil {
		return err
	}
	command := launcher.Command(step)
	if c.Print {
		fmt.Println(command)
		return nil
	}
	if err := c.check(step, finder.Host); err != nil {
		return err
	}
	warmers, err := readWarmers(c.Warm)
	if err != nil {
		return err
	}
	finder.Others = sweeper(program, launcher, step.Hosts, &c.jobOptions)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	start := launch.Start{Finder: finder, Command: command, Timeout: c.Timeout,
		Mounts: launch.NodeMounts(program), Progress: progress(step.Ranks)}
	begun := time.Now()
	state, err := start.Run(ctx)
	if err != nil {
		return err
	}
	dir := launch.JobDirOf(c.Dir, c.Job)
	printReady(state, dir, begun)
	defer c.sleep()
	if len(warmers) == 0 {
		return nil
	}
	return warm(ctx, finder, &launch.Job{Dir: dir, State: *state}, warmers)
}

// step is what is to be started, and by what.
func (c *launchCmd) step(program string) (launch.Step, launch.Launcher, error) {
	step := launch.Step{Ranks: 1, Program: program, Args: append([]string{"serve"}, c.args()...), Root: os.Geteuid() == 0, Cores: c.Cores}
	var scheduler launch.Scheduler
	if c.Nodes != nil {
		step.Ranks = *c.Nodes
	} else {
		allocation, err := launch.FindAllocation(os.Getenv)
		if err != nil {
			return step, nil, err
		}
		scheduler = allocation.Scheduler
		if step.Hosts = allocation.Hosts; step.Hosts != nil {
			step.Ranks = len(step.Hosts)
		}
	}
	launcher, err := launcherFor(program, step.Ranks, scheduler)
	return step, launcher, err
}

func launcherFor(program string, ranks int, scheduler launch.Scheduler) (launch.Launcher, error) {
	mpi, err := launch.LinkedMPI(program)
	if err != nil {
		return nil, err
	}
	return launch.FindLauncher(mpi, ranks, scheduler, launch.SystemSearch())
}

// check looks at what the ranks of this host will need, before anything is started.
func (c *launchCmd) check(step launch.Step, host string) error {
	if step.Hosts != nil {
		rank := launch.RankOn(step.Hosts, host)
		if rank < 0 {
			return nil // none
		}
		return checkRank(&c.options, rank, host)
	}
	for rank := range step.Ranks {
		if err := checkRank(&c.options, rank, host); err != nil {
			return err
		}
	}
	return nil
}
