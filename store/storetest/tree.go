package storetest

import (
	"context"
	"path"
	"sort"
	"sync"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Tree is a PFS in memory: a [store.Source] that counts what it is asked and answers with errors
// or not at all where a test wants it to.
type Tree struct {
	mem *store.Memory
	// Lifetime of "not there", and of listings.
	Lifetime time.Duration

	mu     sync.Mutex
	nodes  map[string]*treeNode
	clock  int64
	counts map[string]int
	faults map[string]syscall.Errno
	gates  map[string]chan struct{}
}

type treeNode struct {
	attr   store.Attr
	data   []byte
	target string
}

// NewTree returns a Tree with an empty root. Chunks are taken from mem.
func NewTree(mem *store.Memory) *Tree {
	t := &Tree{
		mem: mem, Lifetime: time.Hour, nodes: map[string]*treeNode{},
		counts: map[string]int{}, faults: map[string]syscall.Errno{}, gates: map[string]chan struct{}{},
	}
	t.put("/", &treeNode{attr: store.Attr{Mode: syscall.S_IFDIR | 0o755}})
	return t
}

func (t *Tree) put(p string, n *treeNode) {
	t.clock++
	n.attr.Dev, n.attr.Ino, n.attr.Nlink = 1, uint64(t.clock), 1
	n.attr.Mtime, n.attr.Ctime = t.clock, t.clock
	t.nodes[p] = n
	if p == "/" {
		return
	}
	if parent, ok := t.nodes[path.Dir(p)]; ok {
		parent.attr.Mtime, parent.attr.Ctime = t.clock, t.clock
		return
	}
	t.put(path.Dir(p), &treeNode{attr: store.Attr{Mode: syscall.S_IFDIR | 0o755}})
}

// Write makes or replaces a regular file, and the directories that lead to it.
func (t *Tree) Write(p string, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(p, &treeNode{attr: store.Attr{Mode: syscall.S_IFREG | 0o644, Size: int64(len(data))}, data: data})
}

// Link makes or replaces a symbolic link.
func (t *Tree) Link(p, target string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(p, &treeNode{attr: store.Attr{Mode: syscall.S_IFLNK | 0o777, Size: int64(len(target))}, target: target})
}

// Mkdir makes a directory.
func (t *Tree) Mkdir(p string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(p, &treeNode{attr: store.Attr{Mode: syscall.S_IFDIR | 0o755}})
}

// Remove removes a file or an empty directory.
func (t *Tree) Remove(p string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.nodes, p)
	t.clock++
	d := t.nodes[path.Dir(p)]
	d.attr.Mtime, d.attr.Ctime = t.clock, t.clock
}

// Fail makes op ("lstat", "readdir", "readlink", "read") on p fail with errno; 0 ends it.
func (t *Tree) Fail(op, p string, errno syscall.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errno == 0 {
		delete(t.faults, op+" "+p)
		return
	}
	t.faults[op+" "+p] = errno
}

// Stall makes op on p wait until the returned function is called.
func (t *Tree) Stall(op, p string) (resume func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gate := make(chan struct{})
	t.gates[op+" "+p] = gate
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.gates, op+" "+p)
		close(gate)
	}
}

// Count is how often op was asked of p.
func (t *Tree) Count(op, p string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[op+" "+p]
}

// Counts is a copy of all counts, by "op path".
func (t *Tree) Counts() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := make(map[string]int, len(t.counts))
	for k, n := range t.counts {
		c[k] = n
	}
	return c
}

// ask counts, stalls and fails; then finds the node.
func (t *Tree) ask(ctx context.Context, op, p string) (*treeNode, error) {
	t.mu.Lock()
	t.counts[op+" "+p]++
	gate := t.gates[op+" "+p]
	t.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if errno, ok := t.faults[op+" "+p]; ok {
		return nil, t.fail(op, p, errno)
	}
	if n, ok := t.nodes[p]; ok {
		copied := *n
		return &copied, nil
	}
	for d := path.Dir(p); ; d = path.Dir(d) {
		if n, ok := t.nodes[d]; ok {
			if n.attr.IsDir() {
				return nil, t.fail(op, p, syscall.ENOENT)
			}
			return nil, t.fail(op, p, syscall.ENOTDIR)
		}
	}
}

func (t *Tree) fail(op, p string, errno syscall.Errno) error {
	e := &store.Error{Op: op, Path: p, Errno: errno}
	if e.Absent() {
		e.Expires = time.Now().Add(t.Lifetime)
	}
	return e
}

// Stat implements [store.Source].
func (t *Tree) Stat(ctx context.Context, p string, _ store.Version) (store.Attr, error) {
	n, err := t.ask(ctx, "lstat", p)
	if err != nil {
		return store.Attr{}, err
	}
	return n.attr, nil
}

// List implements [store.Source]; a renewal counts as an lstat.
func (t *Tree) List(ctx context.Context, dir string, known *store.Listing) (*store.Listing, error) {
	if known != nil && known.Settled {
		n, err := t.ask(ctx, "lstat", dir)
		if err != nil {
			return nil, err
		}
		if n.attr.Version() == known.Dir.Version() {
			return known.Renewed(time.Now().Add(t.Lifetime)), nil
		}
	}
	n, err := t.ask(ctx, "readdir", dir)
	if err != nil {
		return nil, err
	}
	if !n.attr.IsDir() {
		return nil, t.fail("readdir", dir, syscall.ENOTDIR)
	}
	l := &store.Listing{Dir: n.attr, Complete: true, Settled: true, Expires: time.Now().Add(t.Lifetime)}
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, n := range t.nodes {
		if p != "/" && path.Dir(p) == dir {
			l.Entries = append(l.Entries, store.Entry{Name: path.Base(p), Ino: n.attr.Ino, Type: n.attr.Type()})
		}
	}
	sort.Slice(l.Entries, func(i, j int) bool { return l.Entries[i].Name < l.Entries[j].Name })
	return l, nil
}

// ReadLink implements [store.Source].
func (t *Tree) ReadLink(ctx context.Context, p string) (string, error) {
	n, err := t.ask(ctx, "readlink", p)
	if err != nil {
		return "", err
	}
	if n.attr.Type() != syscall.S_IFLNK {
		return "", t.fail("readlink", p, syscall.EINVAL)
	}
	return n.target, nil
}

// ReadChunk implements [store.Source].
func (t *Tree) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	size := file.ChunkLen(index)
	if size == 0 {
		return nil, t.fail("read", file.Path, syscall.EINVAL)
	}
	n, err := t.ask(ctx, "read", file.Path)
	if err != nil {
		if (&store.Error{Errno: store.Errno(err)}).Absent() {
			err = t.fail("read", file.Path, syscall.ESTALE)
		}
		return nil, err
	}
	if n.attr.Version() != file.Version {
		return nil, t.fail("read", file.Path, syscall.ESTALE)
	}
	c, err := t.mem.Chunk(ctx, size)
	if err != nil {
		return nil, err
	}
	copy(c.Bytes(), n.data[index*store.ChunkSize:])
	c.Seal()
	return c, nil
}
