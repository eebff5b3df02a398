package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

// stopAtCmd is stopCmd with a mount point that is free afterwards, even if nothing else is known of the job.
type stopAtCmd struct {
	stopCmd
	Mount string `name:"mount" short:"v" env:"COPPER_MOUNT" type:"path" placeholder:"DIR" help:"Take away the mount of a killed daemon there too, on this host; {host} is replaced. The mounts of a job that is known need not be named."`
}

func (c *stopAtCmd) Run() error {
	return launch.Interruptible(context.Background(), "the daemons may be ending still: copper stop once more ends what is left", func() error {
		return errors.Join(c.stopCmd.Run(), c.free())
	})
}

func (c *stopAtCmd) free() error {
	if c.Mount == "" || strings.Contains(c.Mount, "{rank}") {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	host, err := launch.ShortHost()
	if err != nil {
		return err
	}
	point := launch.Fill(c.Mount, 0, host)
	did, err := launch.NodeMounts(program).ClearMountpoint(context.Background(), launch.ControlBases(), point)
	if did {
		fmt.Fprintln(os.Stderr, "copper: a killed daemon's mount was taken away:", point)
	}
	return err
}
