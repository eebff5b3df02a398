package store

import (
	"context"
	"errors"
	"fmt"
)

// flight is one question that is under way, for everybody who asks it meanwhile.
//
// It runs in a goroutine of its own, not in that of whoever asked first: callers come and leave
// with their own contexts, and only when the last one has left is the question given up.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc

	// Guarded by Store.mu.
	waiters  int
	detached bool // not to be joined, and its answer not to be kept: the tables were cleared
	finished bool

	// Written before done is closed.
	value any
	err   error
}

// errAbandoned ends a flight that nobody waits for; nobody sees it.
var errAbandoned = errors.New("abandoned by all who asked")

// get answers from the tables, from a flight that is under way, or by a new flight of load.
// The look into the tables and the joining happen under one lock, and a flight ends by filling
// the table and leaving the list of flights under that same lock: a caller who finds neither
// can be sure that the answer is not there, without a second look.
//
// A *Chunk among the values comes with a reference for the caller.
func (s *Store) get(ctx context.Context, k key, load func(context.Context) (any, error)) (value any, hit bool, err error) {
	s.mu.Lock()
	if v, ok := s.cached(k); ok {
		if c, ok := v.(*Chunk); ok {
			c.Retain()
		}
		s.mu.Unlock()
		return v, true, nil
	}
	f := s.flights[k]
	if f == nil {
		fctx, cancel := context.WithCancel(context.Background())
		f = &flight{done: make(chan struct{}), cancel: cancel}
		s.flights[k] = f
		go s.fly(fctx, k, f, load)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
		return f.value, false, f.err
	case <-ctx.Done():
		s.leave(k, f)
		return nil, false, ctx.Err()
	}
}

// fly runs load and hands the answer to the tables and to whoever waits.
func (s *Store) fly(ctx context.Context, k key, f *flight, load func(context.Context) (any, error)) {
	var value any
	err := errAbandoned
	defer func() {
		if p := recover(); p != nil { // waiters must not be stranded by it
			s.land(k, f, nil, fmt.Errorf("panic while answering %q: %v", k.path, p))
			panic(p)
		}
		s.land(k, f, value, err)
	}()
	value, err = load(ctx)
}

func (s *Store) land(k key, f *flight, value any, err error) {
	s.mu.Lock()
	if s.flights[k] == f {
		delete(s.flights, k)
	}
	if !f.detached {
		s.learn(k, value, err)
	}
	f.value, f.err, f.finished = value, err, true
	if c, ok := value.(*Chunk); ok && err == nil {
		for range f.waiters {
			c.Retain()
		}
		c.Release() // the reference that load returned
	}
	s.mu.Unlock()
	f.cancel()
	close(f.done)
}

// leave ends one caller's interest; the last one to leave gives the question up.
func (s *Store) leave(k key, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.finished { // the answer came while the caller was leaving, with a reference for it
		if c, ok := f.value.(*Chunk); ok && f.err == nil {
			c.Release()
		}
		return
	}
	if f.waiters == 0 {
		f.cancel()
		if s.flights[k] == f {
			delete(s.flights, k)
		}
	}
}
