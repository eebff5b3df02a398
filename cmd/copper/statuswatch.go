package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/live"
)

// watchInterval is the value of --watch, which may be left out.
type watchInterval time.Duration

const (
	usualWatch = 2 * time.Second
	leastWatch = 100 * time.Millisecond
	mostWatch  = 24 * time.Hour
)

// IsBool tells kong that the value may be left out.
func (*watchInterval) IsBool() bool { return true }

// Decode is called by kong. A bare number is in seconds.
func (w *watchInterval) Decode(ctx *kong.DecodeContext) error {
	*w = watchInterval(usualWatch)
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	text := fmt.Sprint(ctx.Scan.Pop().Value)
	d, err := time.ParseDuration(text)
	if seconds, bad := strconv.ParseFloat(text, 64); bad == nil {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < leastWatch || d > mostWatch {
		return fmt.Errorf("%q: want a time from %v to %v, such as 2s", text, leastWatch, mostWatch)
	}
	*w = watchInterval(d)
	return nil
}

// watch shows the job until it ends or somebody interrupts.
func (c *statusCmd) watch(finder launch.Finder, job *launch.Job) error {
	if hosts := finder.Elsewhere(job); hosts != "" { // waiting doesn't help
		return fmt.Errorf("job %s runs on %s and not on this host: run copper there", job.State.ID, hosts)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	w := &live.Watch{Job: job.State.ID, Interval: time.Duration(c.Watch), Out: os.Stdout,
		Look: func(ctx context.Context) (*launch.Status, error) {
			return finder.Follow(ctx, job, c.Nodes != nil && *c.Nodes)
		}}
	switch {
	case c.JSON:
		w.Form = live.JSON
	case launch.IsTerminal(os.Stdout) && os.Getenv("TERM") != "dumb":
		w.Form, w.Screen = live.View, live.NewScreen(os.Stdout, os.Stdin)
		w.Resized = notify(syscall.SIGWINCH)
		w.Suspended = notify(syscall.SIGTSTP)
		w.Suspend = func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
	}
	return w.Run(ctx)
}

func notify(s os.Signal) <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, s)
	return c
}
