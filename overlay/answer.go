package overlay

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// answer puts a request to the Source and returns the reply, which may be sent: the child holds it.
//
// Where the child holds too much already, its answer waits until some of that has been sent. Data
// and listings are given up meanwhile and asked for again: they come from memory then. The waiting
// is for the network alone, never for another answer, so that it can't go in circles.
//
// asked is done when the request is cancelled, link when its connection breaks.
func (a *answerer) answer(asked, link context.Context, q request) (reply, int64) {
	for {
		r, held, err := a.ask(asked, q)
		if errors.Is(err, errHeld) {
			if err = a.child.wait(asked); err == nil {
				continue
			}
		}
		if limit := kinds[q.kind].reply; err == nil && len(r.payload) > limit {
			err = fmt.Errorf("an answer of %d bytes, where %d are the limit", len(r.payload), limit)
		}
		if err != nil {
			r = excuse(asked, err)
		} else if q.kind != kindControl { // who looks at the counters is not to be seen in them
			a.overlay.traffic.answered(a.tree, r.size())
		}
		for held == 0 {
			var fits bool
			if held, fits = a.child.hold(headerSize + len(r.payload)); !fits && a.child.wait(link) != nil {
				break // nothing can be sent any more
			}
		}
		return r, held
	}
}

// errHeld: the child holds too much for one more large answer.
var errHeld = errors.New("the peer has many answers to read")

// ask puts a request to the Source. What is large is held for the child on success.
func (a *answerer) ask(ctx context.Context, q request) (r reply, held int64, err error) {
	switch q.kind {
	case kindStat:
		var attr store.Attr
		if attr, err = a.src.Stat(ctx, q.path, q.version); err == nil {
			r.payload = appendAttr(make([]byte, 0, attrSize), attr)
		}
	case kindList:
		r.payload, held, err = a.list(ctx, q)
	case kindReadLink:
		var target string
		target, err = a.src.ReadLink(ctx, q.path)
		r.payload = []byte(target)
	case kindReadChunk:
		if r.data, err = a.src.ReadChunk(ctx, q.file(), q.index); err == nil {
			r.length = len(r.data.Encoded())
			r.form = chunkForm{encoding: r.data.Encoding(), crc: r.data.CRC(), sum: r.data.EncodedCRC()}
			var fits bool
			if held, fits = a.child.hold(headerSize + chunkHeader + r.length); !fits {
				r.data.Release()
				return reply{}, 0, errHeld
			}
		}
	case kindControl:
		r.payload, err = a.overlay.collectFor(ctx, q)
	}
	return r, held, err
}

// list asks the Source without the caller's listing: a store holds its own, and renews that.
func (a *answerer) list(ctx context.Context, q request) (payload []byte, held int64, err error) {
	l, err := a.src.List(ctx, q.path, nil)
	switch {
	case err != nil:
		return nil, 0, err
	case renews(l, q.version):
		return appendUnchanged(nil, l.Expires), 0, nil
	}
	size, err := listingSize(l)
	if err != nil {
		return nil, 0, err
	}
	held, fits := a.child.hold(headerSize + size)
	if !fits {
		return nil, 0, errHeld
	}
	return encodeListing(l, size), held, nil
}

// excuse is the reply that carries an error: as an errno if the PFS said it, else as a status of
// the transport.
//
// When the request was cancelled its errors mean nothing, whatever errno they carry: the PFS has
// not answered.
func excuse(ctx context.Context, err error) reply {
	var said *store.Error
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil:
		return reply{status: statusCancelled}
	case errors.Is(err, store.ErrBusy):
		return reply{status: statusBusy}
	case errors.As(err, &said) && sendable(said.Errno):
		return reply{status: status(said.Errno), payload: appendLease(nil, said.Expires)}
	case errors.As(err, &errno) && sendable(errno):
		return reply{status: status(errno), payload: appendLease(nil, time.Time{})}
	}
	return reply{status: statusFailed, payload: text(err)}
}

// text is what a reply says of an error that has no errno.
func text(err error) []byte {
	b := []byte(err.Error())
	return b[:min(len(b), maxProblem)]
}

func sendable(errno syscall.Errno) bool { return 0 < errno && errno <= syscall.Errno(maxErrno) }
