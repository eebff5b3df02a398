package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

type serveCmd struct{ options }

func (c *serveCmd) Run() error {
	began, launcher := time.Now(), launch.ThisParent()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	outliveReaders()
	_ = c.Cores.Bind() // before MPI starts threads; if it can't be, checkRank tells, to all ranks
	boot, err := mpiboot.Start(mpiboot.Bound(c.Timeout))
	var wrong *mpiboot.LaunchError
	if errors.As(err, &wrong) {
		return &launch.InputError{Err: err}
	}
	if err != nil {
		return err
	}
	r := &rank{options: &c.options, boot: boot, began: began}
	defer r.closeLog()
	boot.OnExit(func() {
		r.takeDown()
		_ = r.failed(errors.New("ended while it waited for other ranks; the launcher's output tells by what"))
	})
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
	go func() { end(fmt.Errorf("%s", <-signals)) }()
	if err := r.start(ctx); err != nil {
		r.takeDown()
		return r.failed(err)
	}
	if boot.Launched() {
		go launcher.Watch(ctx, func() { end(errors.New("the launcher is gone")) })
	}
	return r.run(ctx)
}

// outliveReaders lets writes to a closed stdout or stderr fail, where they would end the process:
// when the launcher is gone there are mounts to be taken away.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
