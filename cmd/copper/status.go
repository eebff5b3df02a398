package main

import (
	"context"
	"encoding/json"
	"os"
	"time"
)

type statusCmd struct {
	jobOptions
	JSON bool `name:"json" xor:"form" help:"Print JSON; its fields are those of launch.Status."`
	CSV  bool `name:"csv" xor:"form" help:"Print the use of the caches as CSV."`
}

func (c *statusCmd) Run() error {
	finder, job, err := c.find()
	if err != nil {
		return err
	}
	status, err := finder.Status(context.Background(), job)
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
