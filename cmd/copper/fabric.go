package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/overlay/fabric"
)

// thisFabric is libfabric as this binary finds it.
func thisFabric() launch.Fabric {
	return launch.Fabric{
		Library: func() (launch.FabricLibrary, error) {
			info, err := fabric.Library()
			return launch.FabricLibrary{Version: info.Version, Path: info.Path}, err
		},
		Devices: func(provider string) ([]launch.FabricDevice, error) {
			devices, err := fabric.Devices(provider)
			found := make([]launch.FabricDevice, len(devices))
			for i, d := range devices {
				found[i] = launch.FabricDevice{Domain: d.Domain, Address: d.Address}
			}
			return found, err
		},
	}
}

// openCmd opens an endpoint for a moment.
type openCmd struct {
	Endpoint string `arg:"" help:"Endpoint."`
}

func (c *openCmd) Run() error {
	t := fabric.New(slog.New(slog.DiscardHandler))
	l, err := t.Listen(c.Endpoint)
	if err != nil {
		return err
	}
	return errors.Join(l.Close(), t.Close())
}

// openBound is for libfabric to open an endpoint.
const openBound = 30 * time.Second

// tryEndpoint opens an endpoint for a moment in a process of its own: what libfabric makes of a device that does not
// behave can't harm this one.
func tryEndpoint(endpoint string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openBound)
	defer cancel()
	_, err = launch.BoundedOutput(ctx, exec.Command(program, "open", endpoint))
	if err != nil {
		return fmt.Errorf("libfabric can't open %s: %s", endpoint, strings.TrimPrefix(err.Error(), "copper: "))
	}
	return nil
}

// ownEndpoints are this rank's that go through libfabric: nobody can listen there for a daemon.
func (d *daemon) ownEndpoints() (own []string) {
	for _, e := range d.roster.Cards[d.roster.Self].Endpoints {
		if !strings.HasPrefix(e, "tcp://") {
			own = append(own, e)
		}
	}
	return own
}

// transport reaches the endpoints of the other ranks, which are of the same kind as this one's. nil is for the
// overlay's own: then nothing of libfabric is loaded.
func (d *daemon) transport() overlay.Transport {
	if d.ownEndpoints() == nil {
		return nil
	}
	d.fabric = fabric.New(d.log)
	all := overlay.Schemes{"tcp": overlay.TCP{}}
	for _, scheme := range fabric.Schemes() {
		all[scheme] = d.fabric
	}
	return all
}

// listenOverFabric listens at this rank's own endpoints. Where it is the only rank, and nobody will come, it
// does without.
func (d *daemon) listenOverFabric() (listeners []net.Listener, err error) {
	for _, endpoint := range d.ownEndpoints() {
		l, err := d.fabric.Listen(endpoint)
		if err == nil && !listensAt(l, endpoint) {
			err = errors.Join(fmt.Errorf("libfabric listens at %s instead, where nobody will look", l.Addr()), l.Close())
		}
		facts := thisFabric().Facts(endpoint)
		switch {
		case err == nil:
			d.log.Info("listening", "endpoint", endpoint, "by", facts)
			listeners = append(listeners, l)
		case len(d.roster.Cards) == 1:
			d.log.Warn("not listening: the only node of a job needs no other", "endpoint", endpoint, "by", facts, "error", err)
		default:
			return listeners, fmt.Errorf("listen at %s (%s): %w", endpoint, facts, err)
		}
	}
	return listeners, nil
}

// keepFabric keeps libfabric's sockets from the next process that this one starts. One that hangs in the kernel
// would hold them after this daemon's end, and nobody could listen in its place.
func (d *daemon) keepFabric() {
	if d.fabric == nil {
		return
	}
	if err := mpiboot.CloseOnExec(); err != nil {
		d.log.Warn("libfabric's sockets may outlive this daemon", "error", err)
	}
}

// listensAt tells whether a listener is where the other ranks will look. To the address of a CXI device
// newer libraries add something that is the same for all of a job.
func listensAt(l net.Listener, endpoint string) bool {
	at := l.Addr().String()
	return at == endpoint || strings.HasPrefix(endpoint, "ofi+cxi://") && strings.HasPrefix(at, endpoint)
}
