package overlay

import (
	"context"
	"sync"
)

// line leads to a peer. It is dialled when it is first used, and again when it is used after it broke.
type line struct {
	mu   sync.Mutex // never held while dialling
	last *dialling  // the latest attempt; nil before the first
}

// dialling is a connection being made, or made, for all who want it.
type dialling struct {
	done  chan struct{} // closed when the other fields stand
	asker *asker
	err   error
}

// over tells whether the attempt has come to nothing, or its link to an end.
func (d *dialling) over() bool {
	select {
	case <-d.done:
		return d.err != nil || d.asker.ended()
	default:
		return false
	}
}

// get returns an open link, which dial makes if there is none. Making it goes on when the caller
// who began it leaves, for others may wait for it too.
func (l *line) get(ctx context.Context, o *Overlay, dial func() (*asker, error)) (*asker, error) {
	l.mu.Lock()
	if l.last == nil || l.last.over() {
		d := &dialling{done: make(chan struct{}), err: errClosed}
		if !o.start(func() { d.asker, d.err = dial(); close(d.done) }) {
			close(d.done)
		}
		l.last = d
	}
	d := l.last
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.asker, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open is the line's link, or nil if it has none now.
func (l *line) open() *asker {
	l.mu.Lock()
	d := l.last
	l.mu.Unlock()
	if d == nil {
		return nil
	}
	select {
	case <-d.done:
		if !d.over() {
			return d.asker
		}
	default:
	}
	return nil
}
