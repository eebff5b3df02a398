package main

import (
	"context"
	"fmt"
)

type clearCmd struct {
	jobOptions
	Prefix string `arg:"" optional:"" help:"Path in the view, without the mount; everything below it is dropped too (all)."`
}

func (c *clearCmd) Run() error {
	finder, job, err := c.find()
	if err != nil {
		return err
	}
	entries, err := finder.Clear(context.Background(), job, c.Prefix)
	if err != nil {
		return err
	}
	fmt.Printf("job %s: %d entries dropped\n", job.State.ID, entries)
	return nil
}
