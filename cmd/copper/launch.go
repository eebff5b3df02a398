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
	Nodes int      `name:"nodes" env:"COPPER_NODES" default:"1" placeholder:"N" help:"Number of daemons, all on this host (${default})."`
	Warm  []string `name:"warm" env:"COPPER_WARM" sep:":" placeholder:"PATH" help:"Load a manifest of an earlier job, or a directory, before returning, as copper warm does; several with a colon between them."`
	Print bool     `name:"print" help:"Print the command that would be run, and do nothing."`
}

// Validate is called by kong.
func (c *launchCmd) Validate() error {
	if c.Nodes < 1 {
		return fmt.Errorf("--nodes=%d: want 1 or more", c.Nodes)
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
	if err := c.prepare(os.Stderr); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	command, err := c.command(program)
	if err != nil {
		return err
	}
	if c.Print {
		fmt.Println(command)
		return nil
	}
	for rank := range c.Nodes { // before anything is started
		if err := checkRank(&c.options, rank, finder.Host); err != nil {
			return err
		}
	}
	warmers, err := readWarmers(c.Warm)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	start := launch.Start{Finder: finder, Command: command, Timeout: c.Timeout,
		Mounts: launch.NodeMounts(program), Progress: progress(c.Nodes)}
	state, err := start.Run(ctx)
	if err != nil {
		return err
	}
	dir := launch.JobDirOf(c.Dir, c.Job)
	printReady(state, dir)
	defer c.sleep()
	if len(warmers) == 0 {
		return nil
	}
	return warm(ctx, finder, &launch.Job{Dir: dir, State: *state}, warmers)
}

// command is the launcher's command line.
func (c *launchCmd) command(program string) (launch.Command, error) {
	mpi, err := launch.LinkedMPI(program)
	if err != nil {
		return launch.Command{}, err
	}
	launcher, err := launch.FindLauncher(mpi, c.Nodes, launch.SystemSearch())
	if err != nil {
		return launch.Command{}, err
	}
	return launcher.Command(launch.Step{Ranks: c.Nodes, Program: program,
		Args: append([]string{"serve"}, c.args()...), Root: os.Geteuid() == 0}), nil
}
