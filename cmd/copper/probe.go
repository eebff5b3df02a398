package main

import (
	"fmt"
	"os"

	"github.com/copper-hpc/copper/launch"
)

// probeCmd is run by other coppers, which kill it when it takes too long.
type probeCmd struct {
	Fresh bool   `help:"The mount is new: what the kernel may cache will do."`
	Mount string `arg:"" help:"Mount point."`
}

func (c *probeCmd) Run() error {
	err := launch.Look(c.Mount, c.Fresh)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitCode(launch.LookExitCode(err))
	}
	return nil
}
