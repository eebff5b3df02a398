package main

import (
	"context"
	"encoding/json"
	"os"
	"time"
)

type statusCmd struct {
	jobOptions
	JSON bool `name:"json" help:"Print JSON; its fields are those of launch.Status."`
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
	return status.WriteText(os.Stdout, time.Now())
}
