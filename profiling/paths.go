package profiling

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// mostPaths bounds a path table; at some 200 bytes each that is 200 MB.
const mostPaths = 1_000_000

// pathTable holds every path that the kernel asked for.
type pathTable struct {
	began time.Time

	mu      sync.Mutex
	paths   map[string]*PathUse
	leftOut int64 // answers about paths for which there was no room
}

// PathUse is what was asked for one path.
type PathUse struct {
	Path      string
	First     time.Duration // when it was first answered, since the daemon's start
	Calls     [Operations]int64
	Misses    int64
	Negatives int64
	Errors    int64
	Bytes     int64
	Took      time.Duration
}

// Exists tells whether the path was found, at least once.
func (p *PathUse) Exists() bool { return p.Requests() > p.Negatives+p.Errors }

// Missing tells whether the path was looked for and never there.
func (p *PathUse) Missing() bool { return p.Negatives > 0 && !p.Exists() }

// Requests is the number of requests of all operations.
func (p *PathUse) Requests() (n int64) {
	for _, c := range p.Calls {
		n += c
	}
	return n
}

func (p *PathUse) add(o *PathUse) {
	p.First = min(p.First, o.First)
	for op, n := range o.Calls {
		p.Calls[op] += n
	}
	p.Misses += o.Misses
	p.Negatives += o.Negatives
	p.Errors += o.Errors
	p.Bytes += o.Bytes
	p.Took += o.Took
}

func newPathTable(began time.Time) *pathTable {
	return &pathTable{began: began, paths: map[string]*PathUse{}}
}

func (t *pathTable) note(op Operation, a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.paths[a.Path]
	if p == nil {
		if len(t.paths) >= mostPaths {
			t.leftOut++
			return
		}
		p = &PathUse{Path: a.Path, First: time.Since(t.began)}
		t.paths[a.Path] = p
	}
	p.Calls[op]++
	if a.Waited {
		p.Misses++
	}
	if a.Absent {
		p.Negatives++
	}
	if a.Failed {
		p.Errors++
	}
	p.Bytes += int64(a.Bytes)
	p.Took += a.Took
}

// read returns the paths by name, and how many answers found no room.
func (t *pathTable) read() (paths []PathUse, leftOut int64) {
	t.mu.Lock()
	for _, p := range t.paths {
		paths = append(paths, *p)
	}
	leftOut = t.leftOut
	t.mu.Unlock()
	slices.SortFunc(paths, func(a, b PathUse) int { return strings.Compare(a.Path, b.Path) })
	return paths, leftOut
}
