package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/overlay/fabric"
	"github.com/copper-hpc/copper/profiling"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// daemonCmd is run by copper serve. What it has to know comes through a channel; its arguments are
// for people who look at the list of processes.
type daemonCmd struct {
	Job   string `help:"Job id."`
	Rank  int    `help:"Rank."`
	Mount string `help:"Mount point."`
}

func (c *daemonCmd) Run() error {
	if runtime.GOMAXPROCS(0) < fuse.FewestProcs {
		runtime.GOMAXPROCS(fuse.FewestProcs)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	outliveReaders()
	d := &daemon{signals: signals, exit: make(chan struct{})}
	var err error
	var sockets []*os.File
	if d.supervised, sockets, err = launch.UnderSupervision(&d.charge); err != nil {
		return err
	}
	d.roster, d.options = d.Roster, &d.Options
	copy(d.roster.Secret[:], d.Secret)
	d.log, d.logFile = launch.NewLog(d.options.logLevel(d.roster), d.options.LogTo, d.Log, os.Stdout)
	defer d.logFile.Close()
	d.listeners, err = overlay.Adopt(sockets)
	if err == nil {
		err = d.raise()
	}
	if err = errors.Join(err, d.supervised.Report(err)); err != nil {
		d.takeDown(false)
		return exitCode(launch.ExitCode(err)) // told already
	}
	d.supervised.Beat(launch.Beat(d.options.hung()), func() bool {
		use := d.memory.Use()
		d.heap.started()
		d.heap.follow(use.Tables, use.Limit)
		return d.lives()
	})
	d.wait()
	d.takeDown(true)
	return nil
}

// daemon is one node's parts, which raise puts together and takeDown takes apart. All of it but
// view is set before anybody else can ask the daemon for something.
type daemon struct {
	charge
	supervised *launch.Supervised
	signals    <-chan os.Signal

	options *options
	roster  *mpiboot.Roster
	log     *slog.Logger
	logFile io.Closer

	listeners []net.Listener
	fabric    *fabric.Transport // nil: no endpoint goes through libfabric
	footprint *launch.Footprint
	memory    *store.Memory
	heap      heapLimit
	origin    *store.Origin
	compress  *store.Compress // in front of origin
	policy    *overlay.Compression
	overlay   *overlay.Overlay
	store     *store.Store
	front     store.Source       // store, narrowed to what --allow says: what the kernel and the other nodes ask
	ahead     *store.Readahead   // the kernel's way to front
	expand    *store.Expand      // in front of ahead; set before view is
	recorder  *manifest.Recorder // in front of expand; set before view is
	warming   *warming
	raised    time.Time // since when this daemon counts
	profile   *profiling.Recorder
	written   *outputs // nil: nothing is to be written
	exports   *exports
	channel   *launch.Daemon // what control can make of this daemon
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

// wait returns when the daemon is to end.
func (d *daemon) wait() {
	gone := d.view.Load().gone
	for {
		select {
		case <-d.exit:
			d.log.Info("stopped")
		case s := <-d.signals:
			d.log.Info("ending", "signal", s.String())
		case <-d.supervised.Gone():
			d.log.Error("the supervisor was killed: ending")
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

// drainBound is how long a daemon that ends waits for the answers of the nodes behind it.
const drainBound = 3 * time.Second

// lives tells whether this daemon does, by nothing but what is its own: its tables and counters, with
// the locks that guard them, can be read, and the kernel's requests are taken. A PFS or a peer that
// does not answer is none of it.
func (d *daemon) lives() bool {
	_ = d.status()
	return d.view.Load().Served()
}

// letGo lets wait return.
func (d *daemon) letGo() { d.exitOnce.Do(func() { close(d.exit) }) }

// takeDown ends what was started, in the opposite order. If there won't be another daemon, nothing
// of this rank is left: a launcher that ends the step may give the supervisor no time for it.
func (d *daemon) takeDown(last bool) {
	if d.control != nil {
		_ = d.control.Close()
	}
	d.exports.close()
	unmounted := d.unmount()
	if unmounted != nil {
		d.log.Error("the mount was not taken away in order", "error", unmounted)
	}
	if d.warming != nil {
		d.warming.close()
	}
	if d.ahead != nil {
		d.ahead.Close()
	}
	if d.overlay != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainBound)
		if err := d.overlay.Drain(ctx); err != nil {
			d.log.Warn("answers of other nodes may be lost", "error", err)
		}
		cancel()
		_ = d.overlay.Close()
	}
	for _, l := range d.listeners {
		_ = l.Close()
	}
	if d.fabric != nil {
		_ = d.fabric.Close()
	}
	select {
	case <-d.supervised.Gone():
		last = true
	default:
	}
	if last && unmounted == nil && d.footprint != nil {
		d.footprint.Remove()
	}
}
