package fuse

import (
	"context"
	"errors"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

// Preload puts one chunk of the file at path into the page cache, so that whoever reads it sends no
// READ. It returns the bytes put there: 0 for a file that the kernel does not know, because nobody
// has looked at its path. It must not be called by what answers the kernel: it waits for the pages of
// READs that are under way.
func (m *Mount) Preload(ctx context.Context, path string, index int64) (int, error) {
	n := m.fs.nodes.current(path)
	if n == nil || m.fs.direct || !n.attr.IsRegular() || n.file().ChunkLen(index) == 0 {
		return 0, nil
	}
	return m.fs.push(ctx, n, index, m.fs.changes.Load())
}

// errForgotten: the kernel was told to forget while something was put into its page cache.
var errForgotten = errors.New("the kernel was told to forget meanwhile")

// push puts one chunk of a file into the page cache. The chunk is of the node's version, so that it
// is what a READ would have got. changes is what fs.changes was before the caller decided to push.
func (fs *filesystem) push(ctx context.Context, n *node, index int64, changes uint64) (int, error) {
	chunk, err := fs.source.ReadChunk(ctx, n.file(), index)
	if err != nil {
		return 0, err
	}
	defer chunk.Release()
	data := chunk.Bytes()
	status := fs.notifier.kernel.InodeNotifyStoreCache(n.id, index*store.ChunkSize, data)
	if fs.changes.Load() != changes { // perhaps the kernel was told to forget that just before
		fs.notifier.inode(n.id)
		return 0, errForgotten
	}
	if status != gofuse.OK {
		return 0, syscall.Errno(status)
	}
	fs.counters.pushedBytes.Add(uint64(len(data)))
	return len(data), nil
}

// Waiting is the number of requests whose answer is not in this node's memory yet.
func (m *Mount) Waiting() int { return int(m.fs.waiting.Load()) }
