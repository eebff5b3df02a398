package main

import (
	"context"
	"fmt"
	"net"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/profiling"
	"github.com/copper-hpc/copper/profiling/export"
)

// exports hands out to Prometheus what the daemons count; nil does nothing.
type exports struct {
	server *export.Server   // nil: no address was given
	file   *export.Textfile // nil: no file was
}

// beginExports begins what the options ask of this rank. What can't be is bad input when the job starts; a
// daemon that is started again goes on without it.
func (d *daemon) beginExports() error {
	self := d.roster.Self
	e := &export.Exporter{Job: d.Dir.ID(), Rank: self, Host: d.host(),
		Own: func() profiling.Sum { return d.snapshot(false).Sum() }}
	if self == 0 {
		e.Cluster = d.clusterSum
	}
	d.exports = &exports{}
	later := func(err error) error {
		if d.Restarts == 0 {
			return &launch.InputError{Err: err}
		}
		d.log.Warn("Prometheus is not served", "error", err)
		return nil
	}
	if text := d.options.Prometheus; text != "" && self == 0 {
		address, err := export.Address(text)
		var ln net.Listener
		if err == nil {
			ln, err = net.Listen("tcp", address)
		}
		if err != nil {
			return later(fmt.Errorf("--prometheus=%s: %w", text, err))
		}
		d.exports.server = export.Serve(ln, e, d.log)
		d.log.Info("Prometheus is answered", "address", ln.Addr().String())
	}
	if path := d.options.textfile(self, d.host()); path != "" {
		if err := export.CheckPlace(path); err != nil {
			return later(fmt.Errorf("--prometheus-textfile=%s: %w", path, err))
		}
		d.exports.file = export.Keep(path, export.Interval, e, d.log)
	}
	return nil
}

// clusterSum is what all nodes have counted.
func (d *daemon) clusterSum(ctx context.Context) (sum profiling.Sum, missing int, err error) {
	s, gone, err := launch.Gather(d.gather).Summary(ctx)
	return s.Counted, len(gone), err
}

func (x *exports) close() {
	if x == nil {
		return
	}
	if x.server != nil {
		x.server.Close()
	}
	if x.file != nil {
		x.file.Close(writeBound)
	}
}
