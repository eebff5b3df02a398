package advise

import (
	"github.com/copper-hpc/copper/launch/route"
	"github.com/copper-hpc/copper/launch/route/trace"
)

// file is what was asked of one path, without the mount.
type file struct {
	path       string
	operations int   // by name, and listings
	misses     int   // of operations, that found nothing
	bytes      int64 // read or mapped, more than once if it was
	size       int64 // -1 while not known
	opened     bool  // for reading, with success
	listed     bool
	executed   bool
	changed    bool
	refused    bool   // a change that failed with EROFS
	through    int    // of operations, that were made through the mount
	real       string // what opening it led to, where that is another path; with the mount if below it
}

// read is how many of its bytes the file's server had to give once.
func (f *file) read() int64 {
	switch {
	case f.size >= 0 && f.executed: // the kernel reads it
		return f.size
	case f.size >= 0:
		return min(f.bytes, f.size)
	}
	return f.bytes
}

// Tally sums accesses up by path. It is for one goroutine.
type Tally struct {
	view  *route.View // nil: no mount is known
	files map[string]*file
	named map[string]*file // files that were opened, by their real path
}

// NewTally is empty. view is the mount that may be in use; nil if there is none.
func NewTally(view *route.View) *Tally {
	return &Tally{view: view, files: map[string]*file{}, named: map[string]*file{}}
}

// behind is the path without the mount.
func (t *Tally) behind(path string) (behind string, through bool) {
	if t.view != nil {
		if behind, ok := t.view.Behind(path); ok {
			return behind, true
		}
	}
	return path, false
}

func (t *Tally) at(path string) *file {
	f := t.files[path]
	if f == nil {
		f = &file{path: path, size: -1}
		t.files[path] = f
	}
	return f
}

// Add counts one access.
func (t *Tally) Add(a trace.Access) {
	path, through := t.behind(a.Path)
	if a.Op == trace.Read || a.Op == trace.Size || a.Op == trace.List {
		// These are told by what the descriptor is of: by the real path.
		f := t.named[a.Path]
		if f == nil {
			if a.Op == trace.Size {
				return // of a descriptor that was inherited
			}
			f = t.at(path)
		}
		switch a.Op {
		case trace.Read:
			f.bytes += a.Bytes
		case trace.Size:
			f.size = max(f.size, a.Size)
		default:
			f.listed = true
			f.count(through)
		}
		return
	}
	f := t.at(path)
	f.count(through)
	if a.Missed() {
		f.misses++
	}
	f.size = max(f.size, a.Size)
	switch {
	case a.Op == trace.Change && a.Errno == "":
		f.changed = true
	case a.Op == trace.Change && a.Errno == "EROFS":
		f.refused = true
	case a.Errno != "":
	case a.Op == trace.Exec:
		f.executed = true
	case a.Op == trace.Open:
		f.opened = true
		if a.Real != "" {
			t.named[a.Real] = f
			if a.Real != a.Path {
				f.real = a.Real
			}
		}
	}
}

func (f *file) count(through bool) {
	f.operations++
	if through {
		f.through++
	}
}
