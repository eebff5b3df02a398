package overlay

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// answer puts a request to the Source.
func (a *answerer) answer(ctx context.Context, q request) reply {
	r, err := a.ask(ctx, q)
	if limit := kinds[q.kind].reply; err == nil && len(r.payload) > limit {
		err = fmt.Errorf("an answer of %d bytes, where %d are the limit", len(r.payload), limit)
	}
	if err != nil {
		return excuse(ctx, err)
	}
	a.overlay.traffic.answered(a.tree, r.size())
	return r
}

func (a *answerer) ask(ctx context.Context, q request) (r reply, err error) {
	switch q.kind {
	case kindStat:
		var attr store.Attr
		if attr, err = a.src.Stat(ctx, q.path, q.version); err == nil {
			r.payload = appendAttr(make([]byte, 0, attrSize), attr)
		}
	case kindList:
		r.payload, err = a.list(ctx, q)
	case kindReadLink:
		var target string
		target, err = a.src.ReadLink(ctx, q.path)
		r.payload = []byte(target)
	case kindReadChunk:
		if r.data, err = a.src.ReadChunk(ctx, q.file(), q.index); err == nil {
			r.length = len(r.data.Encoded())
			r.form = chunkForm{encoding: r.data.Encoding(), crc: r.data.CRC(), sum: r.data.EncodedCRC()}
		}
	case kindControl:
		r.payload = a.overlay.collectFor(ctx, q)
	}
	return r, err
}

// list asks the Source without the caller's listing: a store holds its own, and renews that.
func (a *answerer) list(ctx context.Context, q request) ([]byte, error) {
	l, err := a.src.List(ctx, q.path, nil)
	switch {
	case err != nil:
		return nil, err
	case renews(l, q.version):
		return appendUnchanged(nil, l.Expires), nil
	}
	return encodeListing(l)
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
