package simulate

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// World is the directory tree that a manifest tells of, as far as it does.
type World struct {
	name     string
	accesses []manifest.Access
	attrs    map[string]store.Attr
	listings map[string]*store.Listing // of the directories that are listed, or might be for an absent name
	chunks   int64                     // that are read
	bytes    int64                     // of the chunks that are read
}

// forever is the lifetime of "not there" in a simulation: nothing changes.
const forever = 1000 * time.Hour

const (
	// maxChunks and maxListed bound what a simulation may read and list: 10 TB, and ten million names.
	maxChunks = 10_000_000
	maxListed = 10_000_000
	// maxStates bounds nodes times objects, of which a model keeps 4 bytes each.
	maxStates = 2_000_000_000
)

// NewWorld makes the tree that a manifest tells of, whose name is for people. An error says where the
// manifest contradicts itself.
func NewWorld(name string, accesses []manifest.Access) (*World, error) {
	if len(accesses) == 0 {
		return nil, fmt.Errorf("manifest %s: there is no access in it", name)
	}
	w := &World{name: name, accesses: accesses, attrs: map[string]store.Attr{}, listings: map[string]*store.Listing{}}
	names, absent := map[string]int{}, map[string]bool{}
	read, listed := map[string]map[int64]bool{}, 0
	for _, a := range accesses {
		if a.Kind == manifest.Absent {
			absent[a.Path] = true
			continue
		}
		if err := w.add(a); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", name, err)
		}
		switch a.Op {
		case manifest.List:
			if listed += a.Names; listed > maxListed {
				return nil, fmt.Errorf("manifest %s: the directories have more than %d names", name, maxListed)
			}
			names[a.Path] = max(names[a.Path], a.Names)
		case manifest.ReadData:
			if (a.To-a.From)/store.ChunkSize > maxChunks-w.chunks {
				return nil, fmt.Errorf("manifest %s: more than %d MiB are read", name, maxChunks)
			}
			if read[a.Path] == nil {
				read[a.Path] = map[int64]bool{}
			}
			f := store.File{Path: a.Path, Version: w.attrs[a.Path].Version()}
			for i := range chunksOf(a) {
				if !read[a.Path][i] {
					read[a.Path][i] = true
					w.chunks++
					w.bytes += int64(f.ChunkLen(i))
				}
			}
		}
	}
	for p := range absent {
		if _, there := w.attrs[p]; there {
			return nil, fmt.Errorf("manifest %s: %s is absent in one line and there in another", name, p)
		}
	}
	w.list(names)
	return w, nil
}

// Check tells whether a plan that is right in itself is too large for this manifest.
func (w *World) Check(p Plan) error {
	objects := len(newObjects(w).all)
	for _, n := range p.Nodes {
		if n*objects > maxStates {
			return fmt.Errorf("manifest %s: %d files and parts of files on %d nodes are more than can be simulated", w.name, objects, n)
		}
	}
	return nil
}

// chunksOf are the chunks that a read touches.
func chunksOf(a manifest.Access) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		for i := a.From / store.ChunkSize; i*store.ChunkSize < a.To; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

var modes = map[manifest.Kind]uint32{
	manifest.File: syscall.S_IFREG | 0o644, manifest.Dir: syscall.S_IFDIR | 0o755,
	manifest.Link: syscall.S_IFLNK | 0o777, manifest.Other: syscall.S_IFIFO | 0o644,
}

// add adds what an access tells of, and the directories above it.
func (w *World) add(a manifest.Access) error {
	if known, ok := w.attrs[a.Path]; ok {
		if known.Mode != modes[a.Kind] || known.Size != a.Size {
			return fmt.Errorf("%s: two lines say that it is different things", a.Path)
		}
		return nil
	}
	w.attrs[a.Path] = store.Attr{Dev: 1, Ino: uint64(len(w.attrs) + 1), Mode: modes[a.Kind], Nlink: 1, Size: a.Size}
	if a.Path == "/" {
		return nil
	}
	return w.add(manifest.Access{Path: path.Dir(a.Path), Kind: manifest.Dir})
}

// list makes the listings of all directories: the names that are known, and as many more as there were.
func (w *World) list(names map[string]int) {
	for p, a := range w.attrs {
		if a.IsDir() {
			w.listings[p] = &store.Listing{Dir: a, Complete: true, Settled: true, Expires: time.Unix(1<<40, 0)}
		}
	}
	for p, a := range w.attrs {
		if p != "/" {
			l := w.listings[path.Dir(p)]
			l.Entries = append(l.Entries, store.Entry{Name: path.Base(p), Ino: a.Ino, Type: a.Type()})
		}
	}
	for p, l := range w.listings {
		for i := len(l.Entries); i < names[p]; i++ {
			l.Entries = append(l.Entries, store.Entry{Name: fmt.Sprintf("~%d", i), Ino: 1 << 40, Type: syscall.S_IFREG})
		}
		slices.SortFunc(l.Entries, func(a, b store.Entry) int { return strings.Compare(a.Name, b.Name) })
	}
}
