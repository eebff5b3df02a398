package overlay

import "github.com/copper-hpc/copper/store"

// stripeChunks is the number of chunks of a file that one tree carries in a row: 16 MiB. The smaller,
// the more trees share the forwarding of one file, and the more of their roots open it.
const stripeChunks = (16 << 20) / store.ChunkSize

// Tree is the tree that answers for a path: its attributes, its listing if it is a directory, its
// target if it is a link, and the first stripe of its data if it is a file.
//
// All of them go by the path alone, because a client of a PFS must look a name up before it can
// do anything with it. One root that stats a small file, opens it and reads it looks it up once; were the
// data another tree's, two clients would.
func (f *Forest) Tree(path string) int {
	if f.trees == 1 {
		return 0
	}
	return int(hash(path) % uint64(f.trees))
}

// TreeOfChunk is the tree that carries a chunk of a file. The stripes of a large file go to
// successive trees, so that they are read by as many roots side by side as there are stripes.
func (f *Forest) TreeOfChunk(path string, index int64) int {
	return int((int64(f.Tree(path)) + index/stripeChunks) % int64(f.trees))
}

// hash is FNV-1a, whose low bits alone are poor for names that differ little, and a finalizer
// that mixes the high bits into them. It must be the same on every node.
func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// treeOf is the tree that carries a request.
func (o *Overlay) treeOf(q request) int {
	switch q.kind {
	case kindControl:
		return controlTree
	case kindReadChunk:
		return o.forest.TreeOfChunk(q.path, q.index)
	}
	return o.forest.Tree(q.path)
}
