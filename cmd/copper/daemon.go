package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
)

// daemon is one node's parts, which start puts together and takeDown takes apart. All of it but
// view is set before anybody else can ask the daemon for something.
type daemon struct {
	options *options
	boot    *mpiboot.Boot
	began   time.Time
	signals <-chan os.Signal

	state   launch.State // rank 0 writes it
	dir     launch.JobDir
	log     *slog.Logger // nil until the job's directory is known
	logFile io.Closer

	listener  net.Listener
	target    string
	footprint *launch.Footprint
	memory    *store.Memory
	origin    *store.Origin
	overlay   *overlay.Overlay
	store     *store.Store
	ahead     *store.Readahead // the kernel's way to store
	channel   *launch.Daemon   // what control can make of this daemon
	view      atomic.Pointer[view]
	control   *launch.Control

	exit     chan struct{} // closed when control lets the daemon end
	exitOnce sync.Once
}

// view is the mount, once there is one.
type view struct {
	*fuse.Mount
	since time.Time
	gone  chan struct{} // closed when the mount is
}

// protocol is what all ranks must agree on beside the overlay's own protocol.
const protocol = 1

// start takes part in the bootstrap and returns when every rank's mount answers, or with the error
// of whichever rank failed.
func (d *daemon) start() error {
	if err := d.prepare(); err != nil {
		return d.boot.Ready(announced(err))
	}
	roster, err := d.boot.Exchange(mpiboot.Card{
		Endpoints: []string{d.listener.Addr().String()}, Version: protocol, Mount: d.fill(d.options.Mount),
	})
	if err != nil {
		return err
	}
	err = d.raise(roster)
	select {
	case sig := <-d.signals:
		err = fmt.Errorf("%s during the start", sig)
	default:
	}
	if ready := d.boot.Ready(announced(err)); ready != nil {
		return ready
	}
	d.log.Info("every mount answers", "nodes", len(roster.Cards), "took", time.Since(d.began))
	return d.note(launch.Ready)
}

// fill replaces the placeholders of a mount point or target.
func (d *daemon) fill(template string) string {
	return launch.Fill(template, d.boot.Rank(), d.boot.Host())
}

// prepare does what needs no other rank.
func (d *daemon) prepare() error {
	d.state = launch.State{ID: d.options.id(), Started: d.began, Ranks: []launch.Rank{{Host: d.boot.Host(), PID: os.Getpid()}}}
	if d.boot.Rank() == 0 {
		if err := d.claimJob(); err != nil {
			d.state.ID = "" // its files are not ours
			return err
		}
	}
	if err := checkRank(d.options, d.boot.Rank(), d.boot.Host()); err != nil {
		return err
	}
	d.target = d.fill(d.options.Target)
	endpoint, err := launch.Endpoint(d.options.Net)
	if err != nil {
		return err
	}
	if d.listener, err = (overlay.TCP{}).Listen(endpoint); err != nil {
		return &launch.InputError{Err: err}
	}
	return nil
}

// claimJob makes the job's directory and its state file, unless a running job has them.
func (d *daemon) claimJob() error {
	if d.state.ID == "" {
		d.state.ID = launch.RankID(d.boot.Host(), os.Getpid())
	}
	finder, err := d.options.finder()
	if err != nil {
		return err
	}
	finder.ID = d.state.ID
	if job, err := finder.Find(); err == nil {
		return launch.BadInput("job %s is running already (%s): copper stop ends it", finder.ID, job.Dir)
	}
	d.dir = launch.JobDirOf(d.options.Dir, d.state.ID)
	if err := d.dir.Make(); err != nil {
		return err
	}
	return d.note(launch.Starting)
}

// note writes the state of the job, if that is this rank's task.
func (d *daemon) note(phase launch.Phase) error {
	if d.boot.Rank() != 0 || d.state.ID == "" {
		return nil
	}
	d.state.Phase = phase
	return d.dir.WriteState(d.state)
}

// wait returns when the daemon is to end.
func (d *daemon) wait() {
	gone := d.view.Load().gone
	for {
		select {
		case <-d.exit:
			d.log.Info("stopped")
		case s := <-d.signals:
			d.log.Info("ending", "signal", s.String())
		case <-gone:
			gone = nil
			if d.channel.Stopping() {
				continue // by us; the others still need this node
			}
			d.log.Warn("the mount was taken away by somebody else: ending", "mount", d.footprint.Mount)
		}
		return
	}
}

// letGo lets wait return.
func (d *daemon) letGo() { d.exitOnce.Do(func() { close(d.exit) }) }

// takeDown ends what was started, in the opposite order.
func (d *daemon) takeDown() {
	if d.control != nil {
		_ = d.control.Close()
	}
	if err := d.unmount(); err != nil {
		d.log.Error("the mount was not taken away in order", "error", err) // and the footprint stays, for others to do it
	} else if d.footprint != nil {
		d.footprint.Remove()
	}
	if d.ahead != nil {
		d.ahead.Close()
	}
	if d.overlay != nil {
		_ = d.overlay.Close()
	}
	if d.listener != nil {
		_ = d.listener.Close()
	}
}

// failed writes down why the job did not become ready, and returns that.
func (d *daemon) failed(err error) error {
	err = heard(err)
	d.state.Error, d.state.BadInput = err.Error(), launch.ExitCode(err) == launch.ExitBadInput
	if d.log != nil {
		d.log.Log(context.Background(), launch.LevelFatal, err.Error())
	}
	return errors.Join(err, d.note(launch.Failed))
}

// stopped writes down that the job ended in order.
func (d *daemon) stopped() error { return d.note(launch.Stopped) }

func (d *daemon) closeLog() {
	if d.logFile != nil {
		_ = d.logFile.Close()
	}
}
