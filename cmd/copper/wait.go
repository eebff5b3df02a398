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
	PID     int           `name:"pid" placeholder:"PID" help:"The process that starts the daemons, mpiexec or srun, as the script has it from $$!: when it ends before every mount answers, so does the waiting."`
	Timeout time.Duration `name:"timeout" env:"COPPER_TIMEOUT" default:"5m" placeholder:"D" help:"Until every mount answers (${default})."`
}

// Validate is called by kong.
func (c *waitCmd) Validate() error {
	switch {
	case c.PID < 0:
		return fmt.Errorf("--pid=%d: want the id of a process", c.PID)
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout=%v: want more than 0", c.Timeout)
	}
	return c.jobOptions.Validate()
}

func (c *waitCmd) Run() error {
	finder, err := c.finder()
	if err != nil {
		return err
	}
	if allocation, err := launch.FindAllocation(os.Getenv); err == nil {
		finder.Others = &launch.Others{Hosts: allocation.Hosts, Down: allocation.Down}
	}
	finder.Say = func(line string) { fmt.Fprintln(os.Stderr, "copper:", line) }
	step := launch.FindStepProcess(c.PID)
	return launch.Interruptible(context.Background(), "the job is as it was: copper stop ends it", func() error {
		job, err := finder.Wait(context.Background(), step, c.Timeout, progress(0))
		if err != nil {
			return err
		}
		printReady(&job.State, job.Dir, job.State.Started)
		return nil
	})
}

func progress(ranks int) *launch.Progress {
	return &launch.Progress{Out: os.Stderr, Terminal: launch.IsTerminal(os.Stderr), Ranks: ranks}
}

// printReady says what there is to use; begun is when the waiting for it began.
func printReady(s *launch.State, dir launch.JobDir, begun time.Time) {
	fmt.Printf("job %s is ready: %s\nafter %s\noutputs are in %s\n", s.ID, launch.MountList(s.Ranks), s.Took(begun), dir)
}
