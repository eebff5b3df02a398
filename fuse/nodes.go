package fuse

import (
	"strings"
	"sync"
	"sync/atomic"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

// node is what the kernel knows by one number: a path at a version.
type node struct {
	id   uint64
	path string
	// attr is what the first lookup saw. It is the answer to every GETATTR of a node that is not a
	// directory; of a directory only identity and type are used.
	attr store.Attr
	// link is where a symbolic link is shown to lead, "" where nothing but the Source decides that;
	// see symlink.go.
	link string

	// stale: the content of this version could not be read any more.
	stale atomic.Bool
	// readEnd is where the last READ ended, in bytes; pushed: the content was put into the page
	// cache, or is being put.
	readEnd atomic.Int64
	pushed  atomic.Bool
	lookups uint64 // references that the kernel holds; guarded by nodeTable.mu
}

// shows tells whether attr describes what n stands for. A directory stays the same node while its
// content changes, since its entries are looked up one by one; anything else does not.
func (n *node) shows(attr store.Attr) bool {
	if n.attr.Type() != attr.Type() {
		return false
	}
	if attr.IsDir() {
		return n.attr.Dev == attr.Dev && n.attr.Ino == attr.Ino
	}
	return n.attr.Version() == attr.Version() && n.attr.Mode == attr.Mode &&
		n.attr.UID == attr.UID && n.attr.GID == attr.GID && n.attr.Nlink == attr.Nlink
}

// staleVersion is the version that is known to be gone; the zero Version if none is, or n is nil.
func (n *node) staleVersion() store.Version {
	if n == nil || !n.stale.Load() {
		return store.Version{}
	}
	return n.attr.Version()
}

func (n *node) file() store.File {
	return store.File{Path: n.path, Version: n.attr.Version()}
}

// nodeTable holds the nodes that the kernel knows. Numbers are never used twice, so the
// generation is always 0.
type nodeTable struct {
	mu     sync.RWMutex
	last   uint64
	byID   map[uint64]*node
	byPath map[string]*node // INVARIANT: the node that the latest lookup of the path returned, if the kernel still knows it
}

func newNodeTable() *nodeTable {
	root := &node{id: gofuse.FUSE_ROOT_ID, path: "/", lookups: 1}
	return &nodeTable{
		last:   gofuse.FUSE_ROOT_ID,
		byID:   map[uint64]*node{root.id: root},
		byPath: map[string]*node{root.path: root},
	}
}

// get returns the node of that number, or nil.
func (t *nodeTable) get(id uint64) *node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// current returns the node that a lookup of path last returned, or nil if the kernel knows none.
func (t *nodeTable) current(path string) *node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byPath[path]
}

// enter returns the node for path as attr describes it, which is shown to lead to link if it is a
// symbolic link, counting one lookup.
func (t *nodeTable) enter(path string, attr store.Attr, link string) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byPath[path]
	if n == nil || (n.id != gofuse.FUSE_ROOT_ID && (!n.shows(attr) || n.link != link)) {
		t.last++
		n = &node{id: t.last, path: path, attr: attr, link: link}
		t.byID[n.id] = n
		t.byPath[path] = n
	}
	n.lookups++
	return n
}

// forget takes back lookups that the kernel no longer holds.
func (t *nodeTable) forget(id, lookups uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil || id == gofuse.FUSE_ROOT_ID {
		return
	}
	if n.lookups > lookups {
		n.lookups -= lookups
		return
	}
	delete(t.byID, id)
	if t.byPath[n.path] == n {
		delete(t.byPath, n.path)
	}
}

func (t *nodeTable) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byID)
}

// all returns every node, in no order.
func (t *nodeTable) all() []*node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	nodes := make([]*node, 0, len(t.byID))
	for _, n := range t.byID {
		nodes = append(nodes, n)
	}
	return nodes
}

// split parts a path into its directory and name; the name of "/" is "".
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/", path[i+1:]
	}
	return path[:i], path[i+1:]
}

// join is the path of name in dir; name is one component, "." or "..".
func join(dir, name string) string {
	switch {
	case name == ".":
		return dir
	case name == "..":
		parent, _ := split(dir)
		return parent
	case dir == "/":
		return "/" + name
	}
	return dir + "/" + name
}
