package overlay

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// fleet is a cluster of hosts that can be made to fail, and a PFS whose content is known.
type fleet struct {
	*cluster
	hosts []*VirtualHost
	tree  *storetest.Tree
	truth map[string][]byte
	pause atomic.Int64 // nanoseconds that the PFS takes for an answer

	mu    sync.Mutex
	stall time.Duration // the longest that one question took
	which string
	long  map[int]int // by rank: questions that took over a second
}

// fleetWire is the network of a fleet. A slow host is a hundred times slower.
const (
	fleetLatency = 2 * time.Millisecond
	fleetSlow    = 100 * fleetLatency
)

// startFleet starts n hosts. One of so many files of the file system is bulk data.
func startFleet(t testing.TB, n, files, large int, p plan) *fleet {
	f := &fleet{truth: map[string][]byte{}, long: map[int]int{}}
	tree, origin := pfs(t, 0)
	f.tree = tree
	random := rand.NewChaCha8([32]byte{})
	for i := range files {
		content := make([]byte, 2000+i%7)
		if i%large == large-1 {
			content = make([]byte, bulkLength+i)
		}
		_, _ = random.Read(content)
		path := fmt.Sprintf("/d%d/f%d", i%16, i)
		tree.Write(path, content)
		f.truth[path] = content
	}
	network := NewVirtualNetwork(Wire{Latency: fleetLatency, Bandwidth: 5e9})
	for range n {
		f.hosts = append(f.hosts, network.Host())
	}
	p.nodes = n
	p.transport = func(rank int) Transport { return f.hosts[rank] }
	p.origin = func(m *member) store.Source { return &paused{origin(m), &f.pause} }
	f.cluster = start(t, p)
	return f
}

// paused is a Source that takes some time for each answer.
type paused struct {
	store.Source
	pause *atomic.Int64
}

func (p *paused) sleep(ctx context.Context) error {
	if !sleep(ctx, time.Duration(p.pause.Load())) {
		return ctx.Err()
	}
	return nil
}

func (p *paused) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	if err := p.sleep(ctx); err != nil {
		return store.Attr{}, err
	}
	return p.Source.Stat(ctx, path, stale)
}

func (p *paused) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	if err := p.sleep(ctx); err != nil {
		return nil, err
	}
	return p.Source.ReadChunk(ctx, file, index)
}

// read reads a file on one node and holds it against the truth. Each question's time counts.
func (f *fleet) read(m *member, path string) error {
	ctx, began, rank := context.Background(), time.Now(), m.self
	attr, err := m.store.Stat(ctx, path, store.Version{})
	f.took(rank, "lstat "+path, time.Since(began))
	if err != nil {
		return fmt.Errorf("rank %d: %w", rank, err)
	}
	began = time.Now()
	chunk, err := m.store.ReadChunk(ctx, store.File{Path: path, Version: attr.Version()}, 0)
	f.took(rank, "read "+path, time.Since(began))
	if err != nil {
		return fmt.Errorf("rank %d: %w", rank, err)
	}
	defer chunk.Release()
	if !bytes.Equal(chunk.Bytes(), f.truth[path]) {
		return fmt.Errorf("rank %d: %s has other content", rank, path)
	}
	return nil
}

func (f *fleet) took(rank int, what string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d > f.stall {
		f.stall, f.which = d, fmt.Sprintf("rank %d: %s", rank, what)
	}
	if d > time.Second {
		f.long[rank]++
	}
}

// readAll reads files on all of some nodes, in an order of each node's own.
func (f *fleet) readAll(t testing.TB, ranks []int, paths []string, seed uint64) {
	var running sync.WaitGroup
	for _, rank := range ranks {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(rank)))
			for _, i := range random.Perm(len(paths)) {
				if err := f.read(f.members[rank], paths[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
}

// suspected is how many peers are suspects of somebody among those ranks.
func (f *fleet) suspected(ranks []int) (n int) {
	for _, rank := range ranks {
		s := f.members[rank].Stats()
		n += s.Suspects + s.Slow
	}
	return n
}

// asked is how many questions were put to the PFS, lookups of directories aside.
func (f *fleet) asked() (n int) {
	for path := range f.truth {
		n += f.tree.Count("lstat", path) + f.tree.Count("read", path)
	}
	return n
}

// everybody is all ranks.
func (f *fleet) everybody() []int {
	ranks := make([]int, len(f.hosts))
	for rank := range ranks {
		ranks[rank] = rank
	}
	return ranks
}
