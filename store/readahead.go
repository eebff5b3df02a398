package store

import (
	"context"
	"sync"
)

const (
	// readaheadWindow is how many chunks are asked for before they are read, per file. It covers the
	// time that a chunk takes through a few nodes at the rate at which a kernel reads.
	readaheadWindow = 8
	// readaheadFlights bounds the chunks asked for ahead at one time, over all files.
	readaheadFlights = 32
	// readaheadFiles bounds how many files' positions are remembered.
	readaheadFiles = 1024
)

// Readahead is a [Source] in front of another that asks for the next chunks of a file while it is
// read from front to back. It belongs on the kernel's side of a Store: the requests that it makes
// travel up the tree side by side, so no other node on the way need look ahead.
type Readahead struct {
	Source
	window  int64
	flights chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	positions map[File]position
	closed    bool
}

// position is how far a file was read and asked for.
type position struct {
	last  int64 // chunk read last
	ahead int64 // first chunk not asked for yet
}

// NewReadahead returns a Readahead that keeps the chunks under way within a small part of mem,
// since every one of them waits in it until it is read.
func NewReadahead(src Source, mem *Memory) *Readahead {
	ctx, cancel := context.WithCancel(context.Background())
	chunks := mem.limit / ChunkSize
	return &Readahead{
		Source:    src,
		window:    min(readaheadWindow, chunks/16),
		flights:   make(chan struct{}, min(readaheadFlights, chunks/8)),
		ctx:       ctx,
		cancel:    cancel,
		positions: map[File]position{},
	}
}

// ReadChunk implements [Source].
func (r *Readahead) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	from, to := r.advance(file, index)
	for i := from; i < to; i++ {
		r.fetch(file, i)
	}
	return r.Source.ReadChunk(ctx, file, index)
}

// advance notes that index is read and returns the chunks [from, to) to ask for. Reading starts at
// the front, or goes on where it was; elsewhere nothing is asked for.
func (r *Readahead) advance(file File, index int64) (from, to int64) {
	if file.Chunks() < 2 || index >= file.Chunks() {
		return 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.positions[file]
	switch {
	case known && index == p.last:
		return 0, 0
	case known && index == p.last+1:
	case index == 0:
		p = position{}
	default:
		r.positions[file] = position{last: index, ahead: index + 1}
		return 0, 0
	}
	from = max(p.ahead, index+1)
	to = max(from, min(index+1+r.window, file.Chunks()))
	if !known && len(r.positions) >= readaheadFiles {
		for f := range r.positions { // any: a file that is still read is soon known again
			delete(r.positions, f)
			break
		}
	}
	if index+1 == file.Chunks() {
		delete(r.positions, file)
	} else {
		r.positions[file] = position{last: index, ahead: to}
	}
	return from, to
}

// fetch brings a chunk into the Store behind, unless too many are on their way. An error is not
// kept: whoever reads the chunk will meet it.
func (r *Readahead) fetch(file File, index int64) {
	select {
	case r.flights <- struct{}{}:
	default:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		<-r.flights
		return
	}
	r.running.Go(func() {
		defer func() { <-r.flights }()
		if c, err := r.Source.ReadChunk(r.ctx, file, index); err == nil {
			c.Release()
		}
	})
}

// Close gives up what is on its way and waits for it.
func (r *Readahead) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
}
