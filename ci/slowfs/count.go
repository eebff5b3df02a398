package slowfs

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
)

// Op is an operation that is counted.
type Op string

// The counted operations.
const (
	OpLookup   Op = "lookup"   // is there such a name, and its attributes
	OpGetAttr  Op = "getattr"  // attributes of something the kernel already knows
	OpOpen     Op = "open"     // of a file
	OpRead     Op = "read"     // one request, of up to 1 MiB
	OpOpenDir  Op = "opendir"  // of a directory
	OpReadDir  Op = "readdir"  // one request: a part of a directory, or its end
	OpReadLink Op = "readlink" // target of a symbolic link
	OpStatFS   Op = "statfs"   // figures of the file system
)

// Ops are all counted operations.
var Ops = []Op{OpLookup, OpGetAttr, OpOpen, OpRead, OpOpenDir, OpReadDir, OpReadLink, OpStatFS}

// ParseOp returns the operation with this name.
func ParseOp(name string) (Op, error) {
	if op := Op(name); slices.Contains(Ops, op) {
		return op, nil
	}
	return "", fmt.Errorf("unknown operation %q: one of %v", name, Ops)
}

// Classes counts one operation by the class of what it was about.
type Classes struct {
	File      int64 `json:"file"`
	Directory int64 `json:"directory"`
	Symlink   int64 `json:"symlink"`
	Other     int64 `json:"other"`   // devices, FIFOs, sockets
	Missing   int64 `json:"missing"` // answered with ENOENT or ENOTDIR
	Failed    int64 `json:"failed"`  // answered with another errno
}

// Total is the number of operations of all classes.
func (c Classes) Total() int64 {
	return c.File + c.Directory + c.Symlink + c.Other + c.Missing + c.Failed
}

// add counts one operation that ended with errno, on a thing with this mode.
func (c *Classes) add(mode uint32, errno syscall.Errno) {
	switch {
	case errno == syscall.ENOENT || errno == syscall.ENOTDIR:
		c.Missing++
	case errno != 0:
		c.Failed++
	case mode&syscall.S_IFMT == syscall.S_IFREG:
		c.File++
	case mode&syscall.S_IFMT == syscall.S_IFDIR:
		c.Directory++
	case mode&syscall.S_IFMT == syscall.S_IFLNK:
		c.Symlink++
	default:
		c.Other++
	}
}

// Tally is what was counted since Start or the last Reset. An operation is in it before its
// answer reaches the caller.
type Tally struct {
	// Operations has every operation as a key, those that did not occur as well.
	Operations map[Op]Classes `json:"operations"`
	// Listings is the number of times that a directory was read from its beginning.
	Listings int64 `json:"listings"`
	// Bytes is the number of bytes of file data handed out.
	Bytes int64 `json:"bytes"`
}

// Op is the number of operations op, of all classes.
func (t Tally) Op(op Op) int64 { return t.Operations[op].Total() }

// Metadata is the number of operations that the metadata rate applies to: all but reads.
func (t Tally) Metadata() int64 {
	var n int64
	for op, classes := range t.Operations {
		if op != OpRead {
			n += classes.Total()
		}
	}
	return n
}

func newTally() Tally {
	t := Tally{Operations: make(map[Op]Classes, len(Ops))}
	for _, op := range Ops {
		t.Operations[op] = Classes{}
	}
	return t
}

func (t *Tally) add(o operation, errno syscall.Errno) {
	classes := t.Operations[o.op]
	classes.add(o.mode, errno)
	t.Operations[o.op] = classes
	t.Listings += o.listings
	t.Bytes += o.bytes
}

func (t Tally) clone() Tally {
	t.Operations = maps.Clone(t.Operations)
	return t
}

// MountTally is the share of one mount.
type MountTally struct {
	Mount string `json:"mount"`
	Tally
}

// PathTally is what was counted for one path on all mounts. Operations has only what occurred.
type PathTally struct {
	Operations map[Op]int64 `json:"operations"`
	Listings   int64        `json:"listings"`
	Bytes      int64        `json:"bytes"`
}

// Counts is what the server counted on all mounts, and on each. Its JSON form:
//
//	{"operations": {"lookup": {"file": 1, "directory": 1, "symlink": 0, "other": 0, "missing": 0, "failed": 0}, …},
//	 "listings": 0, "bytes": 17, "stalled": 0,
//	 "mounts": [{"mount": "/tmp/n1", "operations": …, "listings": 0, "bytes": 17}, …],
//	 "paths": {"/lib/a.so": {"operations": {"lookup": 1, "open": 1, "read": 1}, "listings": 0, "bytes": 17}, …}}
//
// where "paths" is there only in CountsWithPaths.
type Counts struct {
	Tally
	// Stalled is the number of requests that a fault holds back at this moment.
	Stalled int `json:"stalled"`
	// Mounts are in the order of Options.Mounts.
	Mounts []MountTally `json:"mounts"`
	// Paths goes by the path within the view, "/" for its root; a name that was looked up and is
	// missing is in it too.
	Paths map[string]PathTally `json:"paths,omitempty"`
}

// counter is the server's one set of books.
type counter struct {
	names []string // of the mounts

	mu     sync.Mutex
	total  Tally
	mounts []Tally
	paths  map[string]PathTally
}

func newCounter(mounts []string) *counter {
	c := &counter{names: mounts}
	c.reset()
	return c
}

func (c *counter) add(mount int, o operation, errno syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total.add(o, errno)
	c.mounts[mount].add(o, errno)
	p, ok := c.paths[o.path]
	if !ok {
		p.Operations = make(map[Op]int64)
	}
	p.Operations[o.op]++
	p.Listings += o.listings
	p.Bytes += o.bytes
	c.paths[o.path] = p
}

func (c *counter) counts(withPaths bool) Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Counts{Tally: c.total.clone()}
	for i, name := range c.names {
		out.Mounts = append(out.Mounts, MountTally{Mount: name, Tally: c.mounts[i].clone()})
	}
	if withPaths {
		out.Paths = maps.Clone(c.paths)
		for path, p := range out.Paths {
			p.Operations = maps.Clone(p.Operations)
			out.Paths[path] = p
		}
	}
	return out
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total = newTally()
	c.mounts = make([]Tally, len(c.names))
	for i := range c.mounts {
		c.mounts[i] = newTally()
	}
	c.paths = make(map[string]PathTally)
}
