package main

import (
	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
)

// checkRank reports what keeps a rank from starting on this host, as far as it can be told without
// changing anything.
func checkRank(o *options, rank int, host string) error {
	if _, err := o.addressing().On(host); err != nil {
		return err
	}
	return checkPlace(o, rank, host)
}

// checkPlace is checkRank for a rank that knows where it is to listen.
func checkPlace(o *options, rank int, host string) error {
	if err := fuse.CheckDevice(); err != nil {
		return &launch.InputError{Err: err}
	}
	if err := o.Cores.Check(); err != nil {
		return err
	}
	return launch.CheckTarget(launch.Fill(o.Target, rank, host))
}
