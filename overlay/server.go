package overlay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/copper-hpc/copper/store"
)

// maxStrangers bounds the connections that have not proven anything yet. Further ones wait to be
// accepted; none stays longer than [Timing.Handshake].
const maxStrangers = 256

// Serve answers the peers that connect to ln from src, which is this node's store. It returns nil
// when the overlay is closed, which also closes ln, and an error when ln fails. It may be called
// for several listeners.
func (o *Overlay) Serve(ln net.Listener, src store.Source) error {
	stop := context.AfterFunc(o.ctx, func() { _ = ln.Close() })
	defer stop()
	strangers := make(chan struct{}, maxStrangers)
	for {
		strangers <- struct{}{} // comes free in bounded time
		conn, err := ln.Accept()
		switch {
		case o.ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // it came too late
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// Out of descriptors, or the caller gave up: other connections are not concerned.
			o.log.Warn("a connection was not accepted", "err", err)
			<-strangers
			if !sleep(o.ctx, acceptPause) {
				return nil
			}
			continue
		}
		started := o.start(func() {
			a := o.admit(conn, src)
			<-strangers
			if a != nil {
				o.traffic.children.Add(1)
				err := a.run(o.ctx)
				o.traffic.children.Add(-1)
				o.log.Debug("a child has left", "rank", a.child, "tree", a.tree, "channel", a.channel, "err", err)
			}
		})
		if !started {
			_ = conn.Close()
			return nil
		}
	}
}

const acceptPause = 100 * time.Millisecond

// admit lets a child in that knows the job's secret; for any other it closes the connection and
// returns nil.
func (o *Overlay) admit(conn net.Conn, src store.Source) *answerer {
	stop := context.AfterFunc(o.ctx, func() { _ = conn.Close() })
	defer stop()
	err := conn.SetDeadline(time.Now().Add(o.timing.Handshake))
	var caller hello
	var session uint64
	if err == nil {
		caller, session, err = admit(conn, &o.secret, o.self, o.forest)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		level := slog.LevelWarn
		if caller == (hello{}) {
			level = slog.LevelDebug // not one of ours: anybody may look who listens at a port
		}
		o.log.Log(o.ctx, level, "refused a connection", "from", conn.RemoteAddr().String(), "err", err)
		return nil
	}
	l := newLink(conn, caller, session, o.timing.Write, o.timing.silence())
	l.out.compression = o.compression.measured(conn, caller.channel)
	return newAnswerer(l, o, src, caller.from)
}

// sleep tells whether ctx outlived d.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
