package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/copper-hpc/copper/launch"
)

type statusCmd struct {
	jobOptions
	JSON  bool          `name:"json" xor:"form" help:"Print JSON; its fields are those of launch.Status."`
	CSV   bool          `name:"csv" xor:"form" help:"Print the use of the caches as CSV."`
	Watch watchInterval `name:"watch" help:"Show it again and again until the job ends, every 2 s or as --watch=5s says: on a terminal in place, else a line each time, with --json an object a line."`
	Nodes *bool         `name:"nodes" negatable:"" help:"Also a row for each node (for jobs of up to 64 by itself)."`
}

// fewNodes is up to how many ranks a job is shown with its nodes one by one.
const fewNodes = 64

// rows tells whether each node is to be shown.
func (c *statusCmd) rows(job *launch.Job) bool {
	if c.Nodes != nil {
		return *c.Nodes
	}
	return len(job.State.Ranks) <= fewNodes
}

// Validate is called by kong.
func (c *statusCmd) Validate() error {
	if c.Watch != 0 && c.CSV {
		return errors.New("--csv and --watch: want one of them")
	}
	return c.jobOptions.Validate()
}

func (c *statusCmd) Run() error {
	finder, job, err := c.find()
	if err != nil {
		return err
	}
	if c.Watch != 0 {
		return c.watch(finder, job)
	}
	status, err := finder.Status(context.Background(), job, c.rows(job))
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(status)
	}
	if c.CSV {
		return status.WriteCacheUse(os.Stdout)
	}
	return status.WriteText(os.Stdout, time.Now())
}
