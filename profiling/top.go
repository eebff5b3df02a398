package profiling

import (
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"
)

// slack is how many paths are watched for each that is wanted: the more, the less the counts err.
const slack = 8

// topPaths finds the paths that are asked for most in bounded memory, by Space-Saving (Metwally et al.,
// 2005): when a path comes for which there is no room, it takes the place, and the count, of the one
// that was asked for least. So a count is never too low, and too high by its Error at most.
type topPaths struct {
	wanted int

	mu      sync.Mutex
	watched map[string]*TopPath
	least   topHeap
}

// TopPath is a path that was asked for often.
type TopPath struct {
	Path      string
	Requests  int64
	Error     int64 // by how much Requests may be too high
	Misses    int64 // these and the following since the path is watched
	Negatives int64
	Bytes     int64
	Took      time.Duration
	place     int // in the heap
}

func newTopPaths(wanted int) *topPaths {
	return &topPaths{wanted: wanted, watched: map[string]*TopPath{}}
}

func (t *topPaths) note(a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.watched[a.Path]
	switch {
	case p != nil:
	case len(t.least) < t.wanted*slack:
		p = &TopPath{Path: a.Path}
		t.watched[a.Path] = p
		heap.Push(&t.least, p)
	default:
		p = t.least[0]
		delete(t.watched, p.Path)
		*p = TopPath{Path: a.Path, Requests: p.Requests, Error: p.Requests}
		t.watched[a.Path] = p
	}
	p.Requests++
	if a.Waited {
		p.Misses++
	}
	if a.Absent {
		p.Negatives++
	}
	p.Bytes += int64(a.Bytes)
	p.Took += a.Took
	heap.Fix(&t.least, p.place)
}

// read returns the hottest paths, the hottest first.
func (t *topPaths) read() []TopPath {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]TopPath, 0, len(t.least))
	for _, p := range t.least {
		all = append(all, *p)
	}
	sortTop(all)
	return all[:min(t.wanted, len(all))]
}

// sortTop puts the hottest first.
func sortTop(paths []TopPath) {
	slices.SortFunc(paths, func(a, b TopPath) int {
		if a.Requests != b.Requests {
			return int(b.Requests - a.Requests)
		}
		return strings.Compare(a.Path, b.Path)
	})
}

func (p *TopPath) add(o *TopPath) {
	p.Requests += o.Requests
	p.Error += o.Error
	p.Misses += o.Misses
	p.Negatives += o.Negatives
	p.Bytes += o.Bytes
	p.Took += o.Took
}

// topHeap has the path that was asked for least in front.
type topHeap []*TopPath

func (h topHeap) Len() int           { return len(h) }
func (h topHeap) Less(i, j int) bool { return h[i].Requests < h[j].Requests }
func (h topHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *topHeap) Push(x any) {
	p := x.(*TopPath)
	p.place = len(*h)
	*h = append(*h, p)
}

// Pop implements [heap.Interface].
func (h *topHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
