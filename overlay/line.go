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
	late  chan struct{} // closed when it takes long
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
// who began it leaves, for others may wait for it too. dial says when it takes long; see [asker.askOr]
// for overdue.
func (l *line) get(
	ctx context.Context, o *Overlay, dial func(late func()) (*asker, error), overdue func() <-chan struct{},
) (*asker, error) {
	l.mu.Lock()
	if l.last == nil || l.last.over() {
		d := &dialling{late: make(chan struct{}), done: make(chan struct{}), err: errClosed}
		if !o.start(func() { d.asker, d.err = dial(func() { close(d.late) }); close(d.done) }) {
			close(d.done)
		}
		l.last = d
	}
	d := l.last
	l.mu.Unlock()
	late := d.late
	var overtaken <-chan struct{}
	for {
		select {
		case <-d.done:
			return d.asker, d.err
		default:
		}
		select {
		case <-d.done:
		case <-late:
			if late = nil; overdue != nil {
				overtaken = overdue()
			}
		case <-overtaken:
			return nil, errOvertaken
		case <-ctx.Done():
			return nil, ctx.Err()
		}
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
