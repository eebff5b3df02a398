package main

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

// writeBound is how long the end of a daemon waits for its outputs: their file system may hang.
const writeBound = 10 * time.Second

// outputs writes what a daemon counted; nil writes nothing.
type outputs struct {
	writer *profiling.Writer
	tables func() error // nil: the tables are not to be written
	log    *slog.Logger
	before sync.Once
	after  sync.Once
}

// beginProfiling makes ready what writes the outputs that are asked for.
func (d *daemon) beginProfiling() {
	o := d.options
	if !o.on() {
		return
	}
	d.written = &outputs{log: d.log, writer: &profiling.Writer{
		Dir: profiling.Dir(d.Dir), Paths: o.AllPaths, Snapshot: d.snapshot, Log: d.log,
	}}
	if o.AllPaths {
		ioctls := d.ioctls()
		d.written.tables = func() error { return ioctls.Tables(profiling.Final) }
	}
	if o.Interval > 0 {
		// The ranks write one after the other, over half the interval: together they would be a storm.
		turn := o.interval() / 2 * time.Duration(d.roster.Self) / time.Duration(len(d.roster.Cards))
		d.written.writer.Every(o.interval(), d.Began.Add(turn))
	}
}

// beforeUnmount writes what was counted until the job was told to stop.
func (o *outputs) beforeUnmount() {
	if o == nil {
		return
	}
	o.before.Do(func() {
		o.writer.Close(writeBound)
		o.write(profiling.PreDestroy)
	})
}

// afterUnmount writes what was counted in all.
func (o *outputs) afterUnmount() {
	if o == nil {
		return
	}
	o.after.Do(func() { o.write(profiling.Final) })
}

func (o *outputs) write(tag string) {
	done := make(chan error, 1)
	go func() {
		err := o.writer.Write(tag)
		if o.tables != nil && tag == profiling.Final {
			err = errors.Join(err, o.tables())
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			o.log.Error("what was counted is not written", "set", tag, "error", err)
		}
	case <-time.After(writeBound):
		o.log.Error("what was counted is not written in time", "set", tag, "bound", writeBound)
	}
}
