package overlay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Serve answers the peers that connect to ln from src, which is this node's store. It returns nil
// when the overlay is closed, which also closes ln, and an error when ln fails. It may be called
// for several listeners.
func (o *Overlay) Serve(ln net.Listener, src store.Source) error {
	stop := context.AfterFunc(o.ctx, func() { _ = ln.Close() })
	defer stop()
	for {
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
			if !sleep(o.ctx, acceptPause) {
				return nil
			}
			continue
		}
		unproven, err := o.strangers.enter(o.ctx, conn)
		if err == nil && !o.start(func() { o.receive(unproven, src) }) {
			o.strangers.leave(unproven)
			err = errClosed
		}
		if err != nil {
			_ = conn.Close()
			return nil
		}
	}
}

const acceptPause = 100 * time.Millisecond

// receive lets a child in that knows the job's secret, and answers it until the link breaks.
func (o *Overlay) receive(unproven *stranger, src store.Source) {
	l, rank := o.admit(unproven.conn)
	o.strangers.leave(unproven)
	if l == nil {
		return
	}
	c, err := o.children.join(rank, l)
	if err != nil {
		_ = l.conn.Close()
		o.log.Warn("refused a child", "rank", rank, "err", err)
		return
	}
	o.traffic.children.Add(1)
	err = newAnswerer(l, o, src, c).run(o.ctx)
	o.traffic.children.Add(-1)
	o.children.part(rank, l)
	o.log.Debug("a child has left", "rank", rank, "tree", l.tree, "channel", l.channel, "err", err)
}

// admit makes a link of a connection if the dialler knows the job's secret, and returns it with the
// dialler's rank. Any other it closes and returns nil.
func (o *Overlay) admit(conn net.Conn) (*link, int) {
	stop := context.AfterFunc(o.ctx, func() { _ = conn.Close() })
	defer stop()
	err := conn.SetDeadline(time.Now().Add(o.timing.Handshake))
	var open net.Conn
	var caller hello
	var session uint64
	if err == nil {
		us := door{secret: &o.secret, self: o.self, forest: o.forest, encrypt: o.encrypt, full: o.children.full()}
		open, caller, session, err = us.admit(conn)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		level := slog.LevelDebug // not one of ours: anybody may look who listens at a port
		if caller != (hello{}) && o.strangers.toTell() {
			level = slog.LevelWarn
		}
		o.log.Log(o.ctx, level, "refused a connection", "from", conn.RemoteAddr().String(), "err", err)
		return nil, 0
	}
	l := newLink(open, caller, session, o.timing.Write, o.timing.silence())
	l.out.compression = o.compression.measured(open, caller.channel)
	return l, caller.from
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
