package slowfs

import (
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// identity tells whether a backing path still is what it was when the kernel learnt of it. The
// type belongs to it because a file system may reuse an inode number, and the kernel declares an
// inode bad whose type changes.
type identity struct {
	dev, ino uint64
	kind     uint32
}

func identify(st *syscall.Stat_t) identity {
	return identity{dev: st.Dev, ino: st.Ino, kind: st.Mode & syscall.S_IFMT}
}

// node is something that one mount's kernel knows by number. Its path and identity never change:
// what replaces a file under the same path becomes another node.
type node struct {
	id   uint64
	path string // within the view
	identity
}

// nodes is one mount's inode table.
type nodes struct {
	mu      sync.Mutex
	byID    map[uint64]*node
	byPlace map[place]*node
	lookups map[uint64]uint64 // how many lookups of a node the kernel has not yet forgotten
	last    uint64            // ids are never used twice, so no generation is needed
}

type place struct {
	path string
	identity
}

func newNodes(root identity) *nodes {
	n := &node{id: fuse.FUSE_ROOT_ID, path: "/", identity: root}
	return &nodes{
		byID:    map[uint64]*node{n.id: n},
		byPlace: map[place]*node{{n.path, root}: n},
		lookups: make(map[uint64]uint64),
		last:    n.id,
	}
}

// get returns the node with this id. The kernel never asks for one that it has forgotten.
func (t *nodes) get(id uint64) (*node, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.byID[id]
	return n, ok
}

// enter returns the node for what was found at path, and counts one lookup for the kernel.
func (t *nodes) enter(path string, what identity) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.byPlace[place{path, what}]
	if !ok {
		t.last++
		n = &node{id: t.last, path: path, identity: what}
		t.byID[n.id] = n
		t.byPlace[place{path, what}] = n
	}
	t.lookups[n.id]++
	return n
}

// forget takes back count lookups and drops the node when none is left.
func (t *nodes) forget(id, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.byID[id]
	if !ok || id == fuse.FUSE_ROOT_ID {
		return
	}
	if t.lookups[id] > count {
		t.lookups[id] -= count
		return
	}
	delete(t.byID, id)
	delete(t.byPlace, place{n.path, n.identity})
	delete(t.lookups, id)
}

// find returns the ids of all nodes for which match holds.
func (t *nodes) find(match func(path string) bool) []uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []uint64
	for id, n := range t.byID {
		if match(n.path) {
			ids = append(ids, id)
		}
	}
	return ids
}
