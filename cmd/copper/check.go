package main

import (
	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
)

// checkRank looks at what a rank needs on its node, as far as that can be told before anything is
// made or started.
func checkRank(o *options, rank int, host string) error {
	if err := fuse.CheckDevice(); err != nil {
		return &launch.InputError{Err: err}
	}
	if err := o.Cores.Check(); err != nil {
		return err
	}
	return launch.CheckTarget(launch.Fill(o.Target, rank, host))
}
