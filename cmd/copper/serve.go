package main

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

type serveCmd struct{ options }

func (c *serveCmd) Run() error {
	began := time.Now()
	if runtime.GOMAXPROCS(0) < fuse.FewestProcs {
		runtime.GOMAXPROCS(fuse.FewestProcs)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	boot, err := mpiboot.Start(mpiboot.Bound(c.Timeout))
	var wrong *mpiboot.LaunchError
	if errors.As(err, &wrong) {
		return &launch.InputError{Err: err}
	}
	if err != nil {
		return err
	}
	d := &daemon{options: &c.options, boot: boot, began: began, signals: signals, exit: make(chan struct{})}
	defer d.closeLog()
	boot.OnExit(func() {
		d.takeDown()
		_ = d.failed(errors.New("ended while it waited for other ranks; the launcher's output tells by what"))
	})
	if err := d.start(); err != nil {
		d.takeDown()
		return d.failed(err)
	}
	d.wait()
	d.takeDown()
	return d.stopped()
}
