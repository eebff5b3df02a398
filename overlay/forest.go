package overlay

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// defaultFanout: metadata is fastest with 8 children per node, and about flat from 4 to 16.
	defaultFanout = 8
	// bulkFanout is that for data of bulkLength bytes or more at a time. A node sends as many copies of it as
	// it has children, one after the other: with two, even the inner node of all trees sends no
	// more than twice what it gets, and the way is as fast as a shorter one with more. At bulkLength
	// both ways take about the same time, for links of 10 GB/s and 40 µs per request.
	bulkFanout = 2
	bulkLength = 256 << 10
	// nodesPerTree and maxTrees make the automatic number of trees. Every tree's root is one more
	// client of the PFS, and walks the directories of the paths that it is asked for: a small job
	// has one, a large one enough to use many clients side by side.
	nodesPerTree = 8
	maxTrees     = 64
)

// Forest is the trees of a job: tree t is the roster in the natural order of host names, rotated by
// t times the golden section of its length. The roots are thus spread over the machine, and inner
// nodes of one tree are leaves of others. (Rotated by t/T of its length they would be inner nodes of all: the
// ranges of a tree repeat at just such distances.)
//
// Each tree has two shapes over the same positions, so the same root: one for questions, and a
// narrower one for bulk data. A Forest doesn't change and may be shared.
type Forest struct {
	shape
	bulk        shape
	trees       int
	stride      int     // between the roots of successive trees; has no divisor in common with the number of nodes
	order       []int32 // ranks, in the natural order of host names
	place       []int32 // place[rank] is rank's index in order
	fingerprint uint64
}

// NewForest plans trees trees of the given fan-out over the roster; 0 is automatic for either. A fan-out
// that is given is that of both shapes.
func NewForest(nodes []Node, trees, fanout int) (*Forest, error) {
	switch {
	case len(nodes) == 0:
		return nil, errors.New("the roster is empty")
	case trees < 0 || fanout < 0:
		return nil, fmt.Errorf("%d trees of fan-out %d: want 0 (automatic) or more", trees, fanout)
	}
	for i, node := range nodes {
		if node.Rank != i {
			return nil, fmt.Errorf("rank %d (host %s) is at place %d of the roster", node.Rank, node.Host, i)
		}
	}
	if trees == 0 {
		trees = min((len(nodes)+nodesPerTree-1)/nodesPerTree, maxTrees)
	}
	narrow := fanout
	if fanout == 0 {
		fanout, narrow = defaultFanout, bulkFanout
	}
	f := &Forest{
		shape:  shape{nodes: len(nodes), fanout: fanout},
		bulk:   shape{nodes: len(nodes), fanout: narrow},
		trees:  min(trees, len(nodes)),
		stride: goldenStride(len(nodes)),
		order:  neighbourly(nodes),
		place:  make([]int32, len(nodes)),
	}
	for i, rank := range f.order {
		f.place[rank] = int32(i)
	}
	f.fingerprint = f.digest(nodes)
	return f, nil
}

// digest is equal on two nodes if they plan the same trees, on which the promise rests that no
// question runs in circles. It is compared when they connect.
func (f *Forest) digest(nodes []Node) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "%d nodes, %d trees, fan-out %d and %d from %d bytes, stride %d, stripes of %d\n",
		f.nodes, f.trees, f.fanout, f.bulk.fanout, bulkLength, f.stride, stripeChunks)
	for _, node := range nodes {
		fmt.Fprintf(h, "%q\n", node.Host)
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// Trees is the number of trees.
func (f *Forest) Trees() int { return f.trees }

// Fanout is the largest number of children of a node.
func (f *Forest) Fanout() int { return f.fanout }

// BulkFanout is the largest number of children of a node for bulk data.
func (f *Forest) BulkFanout() int { return f.bulk.fanout }

// Bulk tells whether a chunk of that many bytes is bulk data.
func (f *Forest) Bulk(length int) bool { return length >= bulkLength }

// Rank is the node at a position of a tree; position 0 is the root.
func (f *Forest) Rank(tree, position int) int {
	return int(f.order[(position+f.rotation(tree))%f.nodes])
}

// Position is where a node stands in a tree. Parents have smaller positions than their children.
func (f *Forest) Position(tree, rank int) int {
	return (int(f.place[rank]) + f.nodes - f.rotation(tree)) % f.nodes
}

func (f *Forest) rotation(tree int) int { return tree * f.stride % f.nodes }

// goldenStride is about the golden section of n and coprime to it: n steps of it meet n different
// places, and any number of steps in a row is spread evenly.
func goldenStride(n int) int {
	stride := max(int(int64(n)*618033989/1_000_000_000), 1)
	for gcd(stride, n) != 1 {
		stride++
	}
	return stride
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Parent is the node that rank asks in a tree; ok is false for the root.
func (f *Forest) Parent(tree, rank int) (parent int, ok bool) {
	ancestors := f.Ancestors(tree, rank)
	if len(ancestors) == 0 {
		return 0, false
	}
	return ancestors[0], true
}

// BulkParent is the node that rank asks for bulk data in a tree; ok is false for the root.
func (f *Forest) BulkParent(tree, rank int) (parent int, ok bool) {
	ancestors := f.bulk.ancestors(f.Position(tree, rank))
	if len(ancestors) == 0 {
		return 0, false
	}
	return f.Rank(tree, ancestors[0]), true
}

// shapeFor is the shape of the trees that a request travels by.
func (f *Forest) shapeFor(q request) shape {
	if q.kind == kindReadChunk && f.Bulk(q.room) {
		return f.bulk
	}
	return f.shape
}

// Ancestors are the nodes above rank in a tree, nearest first, up to the root.
func (f *Forest) Ancestors(tree, rank int) []int {
	return f.ranks(tree, f.ancestors(f.Position(tree, rank)))
}

// Children are the nodes that ask rank in a tree.
func (f *Forest) Children(tree, rank int) []int {
	return f.ranks(tree, f.children(f.Position(tree, rank)))
}

// Depth is the number of nodes above rank in a tree.
func (f *Forest) Depth(tree, rank int) int {
	return f.depth(f.Position(tree, rank))
}

func (f *Forest) ranks(tree int, positions []int) []int {
	for i, position := range positions {
		positions[i] = f.Rank(tree, position)
	}
	return positions
}
