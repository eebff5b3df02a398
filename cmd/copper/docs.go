package main

import (
	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/cmd/copper/docs"
)

// docsCmd is for make install.
type docsCmd struct {
	Dir string `arg:"" type:"path" help:"Directory to write them to, an installation's share."`
}

func (c *docsCmd) Run(k *kong.Kong) error {
	b := thisBuild()
	return docs.Write(c.Dir, k.Model, docs.Edition{Version: b.Version, Date: b.CommitTime})
}
