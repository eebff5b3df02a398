package fuse

import (
	"context"
	"sync"
)

const (
	// pushFrom is the size from which a file is pushed, in bytes: the kernel reads a smaller one
	// with a few requests.
	pushFrom = 1 << 20
	// jump is how far from the last READ another one must be, in bytes, to show that the file is not
	// read from front to back, which the kernel's readahead does as well (its requests may overtake
	// each other).
	jump = 1 << 20
	// pushTo is the size up to which a file is pushed whole, in bytes. Whoever reads a part of a
	// library or a module reads most of it; of a larger file, who knows.
	pushTo = 64 << 20
	// pushesAtOnce bounds the files that are pushed at one time; others are left to the kernel's own
	// readahead.
	pushesAtOnce = 4
)

// pusher puts a file into the page cache as soon as it is seen to be read here and there, as a
// mapped library is, in pieces of a chunk instead of the 128 KiB around each fault. That saves two
// READs of three; a file that is read from front to back gains nothing by it and is left to the
// kernel (BenchmarkColdRead).
//
// It pushes from a goroutine of its own, never from a handler: a push waits for the pages of READs
// that are under way, which other handlers answer. The chunks are of the node's version, so what is
// pushed is what a READ would have got.
type pusher struct {
	slots   chan struct{}
	ctx     context.Context // done when the mount goes
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

func newPusher() *pusher {
	ctx, cancel := context.WithCancel(context.Background())
	return &pusher{slots: make(chan struct{}, pushesAtOnce), ctx: ctx, cancel: cancel}
}

// pushIfJumped notes a READ of [off, end) and pushes the file, once per node, if it is not where the
// last one ended; unless others are being pushed already.
func (fs *filesystem) pushIfJumped(n *node, off, end int64) {
	if fs.direct || n.attr.Size < pushFrom || n.attr.Size > pushTo || n.pushed.Load() {
		return
	}
	if last := n.readEnd.Swap(end); last == 0 || off > last-jump && off < last+jump {
		return
	}
	p := fs.pusher
	select {
	case p.slots <- struct{}{}:
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !n.pushed.CompareAndSwap(false, true) {
		<-p.slots
		return
	}
	p.running.Go(func() {
		defer func() { <-p.slots }()
		fs.pushFile(n)
	})
}

// pushFile gives up at the first difficulty: the kernel will ask for what it needs.
func (fs *filesystem) pushFile(n *node) {
	changes := fs.changes.Load()
	for index := range n.file().Chunks() {
		if _, err := fs.push(fs.pusher.ctx, n, index, changes); err != nil {
			return
		}
	}
}

// close ends what is being pushed and waits for it.
func (p *pusher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
}
