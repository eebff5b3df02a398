package faults

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/ci/nodes"
)

// Kind is a way to break a node.
type Kind string

const (
	// Kill kills the daemon. Its supervisor starts another one.
	Kill Kind = "kill"
	// Dead kills the daemon and keeps the supervisor from noticing, as if both were killed: nobody
	// listens where it listened.
	Dead Kind = "dead"
	// Gone kills the daemon and its supervisor for good.
	Gone Kind = "gone"
	// Garbage is Dead, and somebody else listens there and answers with random bytes.
	Garbage Kind = "garbage"
	// Stop stops the daemon: the kernel takes connections and bytes for it, and nothing comes back.
	Stop Kind = "stop"
	// Slow makes the node at least a hundred times as slow: by its network where the kernel can
	// delay packets, else by stopping the daemon for most of the time.
	Slow Kind = "slow"
	// Cut takes the node off its network: no packet comes through and nobody is told. The daemon
	// lives, and so does its way to the parallel file system.
	Cut Kind = "cut"
)

// Delay is what Slow adds to every packet, each way. A packet between two hosts of one machine
// takes some 20 µs.
const Delay = 20 * time.Millisecond

// Node is one rank of a job. The process ids are the machine's.
type Node struct {
	Rank       int
	Daemon     int         // process id
	Supervisor int         // process id
	Endpoints  []string    // where the daemon listens, as tcp://ADDRESS:PORT or ofi+tcp://ADDRESS:PORT
	Host       *nodes.Host // nil: it shares this machine's network
}

// Suits tells whether a node can be broken like that.
func (k Kind) Suits(n Node) bool { return k != Cut || n.Host != nil }

// Restarts tells whether the node's supervisor has to start a new daemon after the fault.
func (k Kind) Restarts() bool { return k == Kill || k == Dead || k == Garbage }

// Strike breaks nodes, all at once. mend ends what lasts of it; the nodes are not whole at once then.
// After an error nothing lasts.
func (k Kind) Strike(ns ...Node) (mend func() error, err error) {
	var mends []func() error
	all := func() error {
		var errs []error
		for _, m := range mends {
			errs = append(errs, m())
		}
		return errors.Join(errs...)
	}
	// What takes time comes first.
	if k == Dead || k == Garbage || k == Gone {
		for _, n := range ns {
			mends = append(mends, func() error { return proceed(n.Supervisor) })
			if err := stop(n.Supervisor); err != nil {
				return nil, errors.Join(err, all())
			}
		}
	}
	for _, n := range ns {
		m, err := k.strike(n)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s of rank %d: %w", k, n.Rank, err), all())
		}
		if m != nil {
			mends = append([]func() error{m}, mends...)
		}
	}
	return all, nil
}

func (k Kind) strike(n Node) (mend func() error, err error) {
	switch k {
	case Kill, Dead:
		return nil, signal(n.Daemon, syscall.SIGKILL)
	case Gone:
		// The supervisor is stopped, so that neither of them tidies up after the other.
		return nil, errors.Join(signal(n.Daemon, syscall.SIGKILL), signal(n.Supervisor, syscall.SIGKILL))
	case Garbage:
		if err := signal(n.Daemon, syscall.SIGKILL); err != nil {
			return nil, err
		}
		return babble(n)
	case Stop:
		return func() error { return proceed(n.Daemon) }, stop(n.Daemon)
	case Slow:
		return slow(n)
	case Cut:
		if n.Host == nil {
			return nil, errors.New("it has no network of its own")
		}
		return n.Host.Heal, n.Host.Cut()
	}
	return nil, fmt.Errorf("unknown fault %q", k)
}
