package fuse

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

// busyPause is the pause before a Source that has no memory left is asked again.
const busyPause = 10 * time.Millisecond

var nothing = gofuse.ReadResultData(nil)

// Read answers exactly what lies within the pinned size: the kernel takes anything shorter for
// the end of the file and fills up with zeros.
func (fs *filesystem) Read(cancel <-chan struct{}, in *gofuse.ReadIn, buf []byte) (_ gofuse.ReadResult, status gofuse.Status) {
	fs.counters.count(opRead)
	n := fs.nodes.get(in.NodeId)
	if n == nil {
		return nil, gofuse.Status(syscall.ESTALE)
	}
	if !n.attr.IsRegular() {
		return nil, gofuse.EINVAL
	}
	off := int64(in.Offset)
	if off < 0 {
		return nil, gofuse.EINVAL
	}
	if off >= n.attr.Size {
		return nothing, gofuse.OK
	}
	end := off + min(int64(in.Size), int64(len(buf)), n.attr.Size-off)
	if end == off {
		return nothing, gofuse.OK
	}

	req := fs.begin(cancel, &in.InHeader)
	bytes := 0
	defer func() { req.finish(Answer{Request: operationNames[opRead], Path: n.path, Bytes: bytes}, status) }()
	result, err := fs.read(req, n.file(), off, end, buf)
	if err != nil {
		if store.Errno(err) == syscall.ESTALE {
			n.stale.Store(true)
			fs.dropEntry(n)
		}
		return nil, fs.fail(err)
	}
	bytes = int(end - off)
	fs.counters.readBytes.Add(uint64(bytes))
	fs.pushIfJumped(n, off, end)
	return result, gofuse.OK
}

// read returns the bytes [off, end), of which there are some. The last chunk is handed on as it
// is; those before it, where the range straddles, are copied into buf and released before the next
// is asked for, because who waits for memory must not hold any.
func (fs *filesystem) read(req *request, file store.File, off, end int64, buf []byte) (gofuse.ReadResult, error) {
	copied := 0
	for {
		index := off / store.ChunkSize
		from := off - index*store.ChunkSize
		to := min(end-index*store.ChunkSize, store.ChunkSize)
		chunk, err := fs.chunk(req, file, index)
		if err != nil {
			return nil, err
		}
		data := chunk.Bytes()
		if int64(len(data)) < to {
			chunk.Release()
			return nil, fmt.Errorf("read %q: chunk %d has %d bytes, want at least %d", file.Path, index, len(data), to)
		}
		if off += to - from; off == end {
			r := chunkResults.Get().(*chunkResult)
			r.parts = append(r.room[:0], buf[:copied], data[from:to])
			r.chunk = chunk
			return r, nil
		}
		copied += copy(buf[copied:], data[from:to])
		chunk.Release()
	}
}

// chunk asks for one chunk, again and again while there is no memory for it.
func (fs *filesystem) chunk(req *request, file store.File, index int64) (*store.Chunk, error) {
	for {
		chunk, err := fs.source.ReadChunk(req, file, index)
		if !errors.Is(err, store.ErrBusy) {
			return chunk, err
		}
		pause := time.NewTimer(busyPause)
		select {
		case <-pause.C:
		case <-req.Done():
			pause.Stop()
			return nil, req.Err()
		}
	}
}

// dropEntry makes the kernel look n's name up again, unless it already has, because n is of the
// past. The reader whose answer this is should find the new version when it opens the file again,
// so the notification gets a moment; no more, since the kernel may hold a lock that it needs
// until this very request is answered.
func (fs *filesystem) dropEntry(n *node) {
	if fs.nodes.current(n.path) != n {
		return
	}
	dir, name := split(n.path)
	parent := fs.nodes.current(dir)
	if parent == nil {
		return
	}
	moment := time.NewTimer(100 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-fs.notifier.entry(parent.id, name):
	case <-moment.C:
	}
}

// chunkResult is the answer to a READ: its bytes stay where the Source keeps them and go to the
// kernel by one writev. (Only a result with Slices is kept by go-fuse until that is done.)
type chunkResult struct {
	parts [][]byte
	room  [2][]byte
	chunk *store.Chunk
}

var chunkResults = sync.Pool{New: func() any { return new(chunkResult) }}

// Slices is what go-fuse writes to the kernel.
func (r *chunkResult) Slices() ([][]byte, gofuse.Status) { return r.parts, gofuse.OK }

// Size implements [gofuse.ReadResult].
func (r *chunkResult) Size() int {
	n := 0
	for _, p := range r.parts {
		n += len(p)
	}
	return n
}

// Bytes implements [gofuse.ReadResult].
func (r *chunkResult) Bytes(buf []byte) ([]byte, gofuse.Status) {
	buf = buf[:0]
	for _, p := range r.parts {
		buf = append(buf, p...)
	}
	return buf, gofuse.OK
}

// Done implements [gofuse.ReadResult].
func (r *chunkResult) Done() {
	r.chunk.Release()
	*r = chunkResult{}
	chunkResults.Put(r)
}
