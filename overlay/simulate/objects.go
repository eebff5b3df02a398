package simulate

import (
	"path"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// kind tells the objects apart that a model deals with.
type kind uint8

const (
	attr    kind = iota // of a name that is there
	absence             // of a name that isn't
	listing
	link
	chunk
)

// object is one thing that can be asked for.
type object struct {
	kind    kind
	path    string
	file    int32 // numbers the paths
	index   int64 // of a chunk
	listing int32 // of an attr or an absence: the listing of its directory, which tells of absence; none: -1
	next    int32 // of a chunk: that of the next index; none: -1
	// request and reply are their lengths as messages, in bytes; of a chunk that of the data is data.
	request, reply, data int
}

// step is one access of a process: the objects of a read, or the one of anything else.
type step struct {
	object int32
	begins bool // an access, which costs the node something
}

// objects numbers all that a manifest can ask for.
type objects struct {
	all   []object
	steps []step
	byKey map[question]int32
	files map[string]int32
}

// The lengths of messages, in bytes, beside their paths. They are those of overlay's wire format.
const (
	headerBytes  = 24
	versionBytes = 40
	attrBytes    = 100
	leaseBytes   = 8
	entryBytes   = 11
)

func newObjects(w *World) *objects {
	o := &objects{byKey: map[question]int32{}, files: map[string]int32{}}
	for _, a := range w.accesses {
		switch a.Op {
		case manifest.Stat:
			k := attr
			if a.Kind == manifest.Absent {
				k = absence
			}
			o.step(true, o.get(w, k, a.Path, 0))
		case manifest.List:
			o.step(true, o.get(w, listing, a.Path, 0))
		case manifest.ReadLink:
			o.step(true, o.get(w, link, a.Path, 0))
		case manifest.ReadData:
			begins := true
			for i := range chunksOf(a) {
				o.step(begins, o.get(w, chunk, a.Path, i))
				begins = false
				for next := i + 1; next <= i+windowChunks && next*store.ChunkSize < a.Size; next++ {
					o.get(w, chunk, a.Path, next) // it may be read ahead
				}
			}
		}
	}
	for i := range o.all {
		if c := &o.all[i]; c.kind == chunk {
			if next, ok := o.byKey[question{"read", c.path, c.index + 1}]; ok {
				c.next = next
			}
		}
	}
	return o
}

func (o *objects) step(begins bool, object int32) { o.steps = append(o.steps, step{object, begins}) }

var ops = [...]string{attr: "lstat", absence: "lstat", listing: "readdir", link: "readlink", chunk: "read"}

// get is the number of an object, new or known.
func (o *objects) get(w *World, k kind, p string, index int64) int32 {
	key := question{ops[k], p, index}
	if number, ok := o.byKey[key]; ok {
		return number
	}
	file, ok := o.files[p]
	if !ok {
		file = int32(len(o.files))
		o.files[p] = file
	}
	c := object{kind: k, path: p, file: file, index: index, listing: -1, next: -1}
	c.request, c.reply = headerBytes+versionBytes+len(p), headerBytes
	switch k {
	case attr:
		c.reply += attrBytes
	case absence:
		c.reply += leaseBytes
	case listing:
		c.reply += attrBytes + 13
		for _, e := range w.listings[p].Entries {
			c.reply += entryBytes + len(e.Name)
		}
	case link:
		c.request -= versionBytes
		c.reply += 6
	case chunk:
		c.request += 8
		c.reply += 4
		c.data = store.File{Version: w.attrs[p].Version()}.ChunkLen(index)
	}
	number := int32(len(o.all))
	o.all, o.byKey[key] = append(o.all, c), number
	if k == attr || k == absence {
		if dir := path.Dir(p); p != "/" && w.listings[dir] != nil {
			o.all[number].listing = o.get(w, listing, dir, 0)
		}
	}
	return number
}

// trees are the trees of the objects.
func (o *objects) trees(f forester) []int32 {
	trees := make([]int32, len(o.all))
	for i, c := range o.all {
		if c.kind == chunk {
			trees[i] = int32(f.TreeOfChunk(c.path, c.index))
		} else {
			trees[i] = int32(f.Tree(c.path))
		}
	}
	return trees
}
