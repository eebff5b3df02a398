package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/copper-hpc/copper/launch"
)

type launchCmd struct {
	siteOptions
	options
	Nodes   *int     `name:"nodes" env:"COPPER_NODES" placeholder:"N" help:"Number of daemons, all on this host (one on each host of the scheduler's job, or one here)."`
	Exclude string   `name:"exclude" env:"COPPER_EXCLUDE" placeholder:"HOSTS" help:"Hosts of the scheduler's job that get no daemon, such as n3,n[7-9]: those that are down, say."`
	Warm    []string `name:"warm" env:"COPPER_WARM" sep:":" placeholder:"PATH" help:"Load a manifest of an earlier job, or a directory, before returning, as copper warm does; several with a colon between them."`
	Print   bool     `name:"print" help:"Print the command that would be run, and do nothing."`
}

// Validate is called by kong.
func (c *launchCmd) Validate() error {
	if c.Nodes != nil && *c.Nodes < 1 {
		return fmt.Errorf("--nodes=%d: want 1 or more", *c.Nodes)
	}
	if c.Nodes != nil && c.Exclude != "" {
		return fmt.Errorf("--exclude=%s: with --nodes all daemons are on this host", c.Exclude)
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
	step, allocation, launcher, err := c.step(program)
	if err != nil {
		return err
	}
	here := finder.Host
	if step.Hosts != nil && launch.RankOn(step.Hosts, here) < 0 {
		here = ""
	}
	if err := c.preview(os.Stderr, here, step.Hosts); err != nil {
		return err
	}
	step.Args = append([]string{"serve"}, c.args()...)
	step.CXI = c.addressing().OverCXI(here)
	command := launcher.Command(step)
	if c.Print {
		fmt.Println(command)
		if command.HostFile != "" {
			fmt.Fprintf(os.Stderr, "copper: %s is to have the names of the %d hosts, one a line\n", command.HostFile, len(command.Hosts))
		}
		return nil
	}
	if err := c.check(step, finder.Host); err != nil {
		return err
	}
	warmers, err := readWarmers(c.Warm)
	if err != nil {
		return err
	}
	finder.Others = sweeper(program, launcher, allocation, step.Hosts, &c.jobOptions)
	finder.Say = func(line string) { fmt.Fprintln(os.Stderr, "copper:", line) }
	ctx, stop := launch.UntilInterrupted(context.Background())
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
	return launch.Interruptible(ctx, "job "+c.Job+" runs: copper stop ends it", func() error {
		defer c.sleep()
		if len(warmers) == 0 {
			return nil
		}
		return warm(context.Background(), finder, &launch.Job{Dir: dir, State: *state}, warmers)
	})
}

// step is what is to be started, and by what.
func (c *launchCmd) step(program string) (launch.Step, launch.Allocation, launch.Launcher, error) {
	step := launch.Step{Ranks: 1, Program: program, Root: os.Geteuid() == 0, Cores: c.Cores,
		HostFile: launch.JobDirOf(c.Dir, c.Job).HostFile()}
	var allocation launch.Allocation
	if c.Nodes != nil {
		step.Ranks = *c.Nodes
	} else {
		var err error
		if allocation, err = launch.FindAllocation(os.Getenv); err != nil {
			return step, allocation, nil, err
		}
		if step.Hosts, err = allocation.Without(c.Exclude); err != nil {
			return step, allocation, nil, err
		}
		if step.Hosts != nil {
			step.Ranks, step.Part = len(step.Hosts), len(step.Hosts) < len(allocation.Hosts)
		}
	}
	launcher, err := launcherFor(program, step.Ranks, allocation.Scheduler)
	return step, allocation, launcher, err
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
