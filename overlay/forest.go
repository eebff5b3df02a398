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
	// nodesPerTree and maxTrees make the automatic number of trees. Every tree's root is one more
	// client of the PFS, and walks the directories of the paths that it is asked for: a small job
	// has one, a large one enough to use many clients side by side.
	nodesPerTree = 8
	maxTrees     = 64
)

// Forest is the trees of a job: tree t of T is the roster in the natural order of host names,
// rotated by t/T of its length. The roots are thus spread over the machine, and inner nodes of
// one tree are leaves of others. A Forest doesn't change and may be shared.
type Forest struct {
	shape
	trees       int
	order       []int32 // ranks, in the natural order of host names
	place       []int32 // place[rank] is rank's index in order
	fingerprint uint64
}

// NewForest plans trees trees of the given fan-out over the roster; 0 is automatic for either.
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
	if fanout == 0 {
		fanout = defaultFanout
	}
	f := &Forest{
		shape: shape{nodes: len(nodes), fanout: fanout},
		trees: min(trees, len(nodes)),
		order: neighbourly(nodes),
		place: make([]int32, len(nodes)),
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
	fmt.Fprintf(h, "%d nodes, %d trees, fan-out %d\n", f.nodes, f.trees, f.fanout)
	for _, node := range nodes {
		fmt.Fprintf(h, "%q\n", node.Host)
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// Trees is the number of trees.
func (f *Forest) Trees() int { return f.trees }

// Fanout is the largest number of children of a node.
func (f *Forest) Fanout() int { return f.fanout }

// Rank is the node at a position of a tree; position 0 is the root.
func (f *Forest) Rank(tree, position int) int {
	return int(f.order[(position+f.rotation(tree))%f.nodes])
}

// Position is where a node stands in a tree. Parents have smaller positions than their children.
func (f *Forest) Position(tree, rank int) int {
	return (int(f.place[rank]) + f.nodes - f.rotation(tree)) % f.nodes
}

func (f *Forest) rotation(tree int) int { return tree * f.nodes / f.trees }

// Parent is the node that rank asks in a tree; ok is false for the root.
func (f *Forest) Parent(tree, rank int) (parent int, ok bool) {
	ancestors := f.Ancestors(tree, rank)
	if len(ancestors) == 0 {
		return 0, false
	}
	return ancestors[0], true
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
