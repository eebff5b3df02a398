package simulate

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
)

// PFS is what a parallel file system can do.
type PFS struct {
	Ops             float64       `json:"ops"`              // metadata operations a second, in all
	Bandwidth       float64       `json:"bandwidth"`        // bytes a second, in all
	ClientBandwidth float64       `json:"client_bandwidth"` // bytes a second, for one client
	Latency         time.Duration `json:"latency_ns"`       // of each operation, beside its turn
}

// Count is what was asked of a PFS. An open is counted for the first chunk of a file that a client reads.
type Count struct {
	Stat     int64 `json:"stat"`
	List     int64 `json:"list"`
	ReadLink int64 `json:"readlink"`
	Open     int64 `json:"open"`
	Read     int64 `json:"read"` // chunks
	Bytes    int64 `json:"bytes"`
	// Repeated is how many of the questions, opens aside, had been asked before.
	Repeated int64 `json:"repeated"`
}

// Metadata is the operations that count against [PFS.Ops].
func (c Count) Metadata() int64 { return c.Stat + c.List + c.ReadLink + c.Open }

// server is the PFS's side: what all clients share. It is the arithmetic alone, in nanoseconds.
type server struct {
	PFS
	ops, data overlay.Lane
	count     Count
}

// operation is when a metadata operation is done that a client asks for at now.
func (s *server) operation(now int64) int64 {
	return s.ops.Take(now, int64(1e9/s.Ops)) + int64(s.Latency)
}

// read is when a client has n bytes that it asks for at now.
func (s *server) read(now int64, link *overlay.Lane, n int) int64 {
	sent := s.data.Take(now, int64(float64(n)*1e9/s.Bandwidth))
	return max(sent, link.Take(now, int64(float64(n)*1e9/s.ClientBandwidth))) + int64(s.Latency)
}

// pfs is a PFS as a [store.Source] for each of its clients.
type pfs struct {
	world *World

	mu    sync.Mutex
	side  server
	asked map[question]struct{}
}

// question tells what has been asked before.
type question struct {
	op    string
	path  string
	index int64
}

// client is one node's way to the PFS.
type client struct {
	*pfs
	memory *store.Memory
	link   overlay.Lane
	opened map[string]bool
}

func newPFS(p PFS, w *World) *pfs {
	return &pfs{world: w, side: server{PFS: p}, asked: map[question]struct{}{}}
}

func (p *pfs) client(memory *store.Memory) *client {
	return &client{pfs: p, memory: memory, opened: map[string]bool{}}
}

// take counts a question and waits as long as the PFS takes for it.
func (p *pfs) take(ctx context.Context, q question, counter *int64, work func(now int64) (done int64)) error {
	p.mu.Lock()
	*counter++
	if _, again := p.asked[q]; again {
		p.side.count.Repeated++
	}
	p.asked[q] = struct{}{}
	now := time.Now().UnixNano()
	wait := work(now) - now
	p.mu.Unlock()
	timer := time.NewTimer(time.Duration(wait))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pfs) find(op, path string) (store.Attr, error) {
	attr, ok := p.world.attrs[path]
	if !ok {
		return attr, &store.Error{Op: op, Path: path, Errno: syscall.ENOENT, Expires: time.Now().Add(forever)}
	}
	return attr, nil
}

// Stat implements [store.Source].
func (c *client) Stat(ctx context.Context, path string, _ store.Version) (store.Attr, error) {
	if err := c.take(ctx, question{"lstat", path, 0}, &c.side.count.Stat, c.side.operation); err != nil {
		return store.Attr{}, err
	}
	return c.find("lstat", path)
}

// List implements [store.Source].
func (c *client) List(ctx context.Context, dir string, _ *store.Listing) (*store.Listing, error) {
	if err := c.take(ctx, question{"readdir", dir, 0}, &c.side.count.List, c.side.operation); err != nil {
		return nil, err
	}
	if _, err := c.find("readdir", dir); err != nil {
		return nil, err
	}
	l, ok := c.world.listings[dir]
	if !ok {
		return nil, &store.Error{Op: "readdir", Path: dir, Errno: syscall.ENOTDIR, Expires: time.Now().Add(forever)}
	}
	return l.Renewed(time.Now().Add(forever)), nil
}

// ReadLink implements [store.Source].
func (c *client) ReadLink(ctx context.Context, path string) (string, error) {
	if err := c.take(ctx, question{"readlink", path, 0}, &c.side.count.ReadLink, c.side.operation); err != nil {
		return "", err
	}
	_, err := c.find("readlink", path)
	return "target", err
}

// ReadChunk implements [store.Source].
func (c *client) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	n := file.ChunkLen(index)
	chunk, err := c.memory.Chunk(ctx, n)
	if err != nil {
		return nil, err
	}
	err = c.take(ctx, question{"read", file.Path, index}, &c.side.count.Read, func(now int64) int64 {
		if !c.opened[file.Path] {
			c.opened[file.Path] = true
			c.side.count.Open++
			now = c.side.operation(now)
		}
		c.side.count.Bytes += int64(n)
		return c.side.read(now, &c.link, n)
	})
	if err != nil {
		chunk.Release()
		return nil, err
	}
	chunk.Seal() // hollow: zeros
	return chunk, nil
}
