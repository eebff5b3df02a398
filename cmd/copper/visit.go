package main

import (
	"os"

	"github.com/copper-hpc/copper/store/manifest"
)

// visitCmd is run by daemons, which kill it when they end.
type visitCmd struct {
	Mount string `arg:"" help:"Mount point."`
}

func (c *visitCmd) Run() error {
	accesses, err := manifest.Read(os.Stdin, "standard input")
	if err == nil {
		manifest.Visit(c.Mount, accesses)
	}
	return err
}
