package store

import "context"

// gate bounds what is under way at one file system. Each has its own, so that one that stalls keeps
// nobody from another.
type gate struct {
	calls  chan struct{} // system calls: each may block an operating-system thread
	chunks chan struct{} // chunks that are read or wait for it, each of which has its memory already
}

type gateLimits struct{ calls, chunks int }

// limitsOf leaves three quarters of the memory to the chunks of other file systems, and to answers.
func limitsOf(concurrency int, mem *Memory) gateLimits {
	return gateLimits{calls: concurrency, chunks: min(concurrency, max(1, int(mem.limit/4/ChunkSize)))}
}

func newGate(limit gateLimits) *gate {
	return &gate{calls: make(chan struct{}, limit.calls), chunks: make(chan struct{}, limit.chunks)}
}

// pass waits for a place. Who got one gives it back by receiving from the channel.
func pass(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
