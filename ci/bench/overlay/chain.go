package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

const (
	budget    = 256 << 20
	bulkFile  = 64 << 20 // bytes; stays in every store
	bulkAhead = 8        // chunks in flight
)

// chain is a job in this process, of which the node that is asked is some hops away from the root.
type chain struct {
	overlays []*overlay.Overlay
	stores   []*store.Store
	kernels  []store.Source // what each node's kernel would ask
	serving  sync.WaitGroup
	leaf     *overlay.Overlay
	kernel   store.Source // of the leaf
	file     store.File
}

// newChain makes a chain over a network and a file of that content, which the root encodes as told.
func newChain(over network, hops int, content []byte, encoding store.Encoding) (*chain, error) {
	size := 1 << hops // a binary tree of 2^hops nodes is hops deep
	nodes := make([]overlay.Node, size)
	transports := make([]overlay.Transport, size)
	listeners := make([]net.Listener, size)
	for i := range nodes {
		transports[i] = over.transport()
		ln, err := transports[i].Listen(over.endpoint)
		if err != nil {
			return nil, err
		}
		listeners[i] = ln
		nodes[i] = overlay.Node{Rank: i, Host: fmt.Sprint("n", i), Endpoints: []string{ln.Addr().String()}}
	}
	c := &chain{}
	for i, ln := range listeners {
		mem, err := store.NewMemory(budget)
		if err != nil {
			return nil, err
		}
		tree := storetest.NewTree(mem)
		tree.Write("/dir/file", content)
		origin := store.NewCompress(tree, func() store.Encoding { return encoding })
		o, err := overlay.New(overlay.Config{Self: i, Nodes: nodes, Trees: 1, Fanout: 2, Memory: mem, Transport: transports[i]}, origin)
		if err != nil {
			return nil, err
		}
		s := store.NewStore(o, mem)
		c.overlays = append(c.overlays, o)
		c.stores = append(c.stores, s)
		c.kernels = append(c.kernels, store.NewExpand(s, mem))
		c.serving.Go(func() { _ = o.Serve(ln, s) })
	}
	// Ranks are positions, since the hosts sort like them: the last of the first branch is deepest.
	deepest := 0
	for size > 1 {
		deepest++
		size /= 2
	}
	c.leaf, c.kernel = c.overlays[deepest], c.kernels[deepest]
	a, err := c.leaf.Stat(context.Background(), "/dir/file", store.Version{})
	if err != nil {
		return nil, err
	}
	c.file = store.File{Path: "/dir/file", Version: a.Version()}
	return c, nil
}

func (c *chain) close() {
	for _, o := range c.overlays {
		_ = o.Close()
	}
	c.serving.Wait()
}

func (c *chain) stat() error {
	_, err := c.leaf.Stat(context.Background(), "/dir/file", store.Version{})
	return err
}

// cold fetches the file once, as the leaf's kernel does, into stores that are emptied first. (The
// memory behind them is not new after the first time: a virtual machine's first touch of a page can
// cost more than all that is measured here.)
func (c *chain) cold() (rate, cpuPerGB float64, err error) {
	for _, s := range c.stores {
		s.Forget("/")
	}
	return c.fetch(c.kernel, c.file.Chunks())
}

// bulk fetches the file again and again from its parent's store; bytes a second, and core-seconds
// per 10^9 bytes.
func (c *chain) bulk() (rate, cpuPerGB float64, err error) {
	if _, _, err := c.cold(); err != nil {
		return 0, 0, err
	}
	return c.fetch(c.leaf, 2<<10)
}

func (c *chain) fetch(src store.Source, chunks int64) (rate, cpuPerGB float64, err error) {
	var next atomic.Int64
	errs := make(chan error)
	begin, before := time.Now(), cpu()
	for range bulkAhead {
		go func() {
			for {
				i := next.Add(1) - 1
				if i >= chunks {
					errs <- nil
					return
				}
				chunk, err := src.ReadChunk(context.Background(), c.file, i%c.file.Chunks())
				if err != nil {
					errs <- err
					return
				}
				chunk.Release()
			}
		}()
	}
	for range bulkAhead {
		err = errors.Join(err, <-errs)
	}
	bytes := float64(chunks) * store.ChunkSize
	return bytes / time.Since(begin).Seconds(), (cpu() - before) / (bytes / 1e9), err
}
