package overlay

import "slices"

// shape is the form that all trees share: nodes positions, of which 0 is the root of all.
//
// A subtree is a range [lo, hi) of positions with its root at lo. The rest of the range is split
// into fanout ranges as equal as possible, and the first position of each is a child. So nodes
// that are neighbours in the roster are neighbours in the tree, no tree of that fan-out is
// shallower, and all is arithmetic: nothing is built or kept, at any number of nodes.
type shape struct {
	nodes, fanout int
}

// parts is the number of children at the head of a range.
func (s shape) parts(lo, hi int) int { return min(s.fanout, hi-lo-1) }

// begin is where part i of the range below lo begins; part parts(lo, hi) would begin at hi.
func (s shape) begin(lo, hi, i int) int {
	return lo + 1 + i*(hi-lo-1)/s.parts(lo, hi)
}

// descend walks from the root down to position p, tells of each position above it, and returns
// the end of the range that p heads.
func (s shape) descend(p int, above func(position int)) int {
	lo, hi := 0, s.nodes
	for lo != p {
		above(lo)
		rest, parts := hi-lo-1, s.parts(lo, hi)
		part := ((p-lo)*parts - 1) / rest // the last part that begins at or before p
		lo, hi = s.begin(lo, hi, part), s.begin(lo, hi, part+1)
	}
	return hi
}

// ancestors are the positions above p, nearest first, up to the root.
func (s shape) ancestors(p int) []int {
	var line []int
	s.descend(p, func(position int) { line = append(line, position) })
	slices.Reverse(line)
	return line
}

// children are the positions right below p, in ascending order.
func (s shape) children(p int) []int {
	end := s.end(p)
	children := make([]int, s.parts(p, end))
	for i := range children {
		children[i] = s.begin(p, end, i)
	}
	return children
}

// end is where the range that p heads ends.
func (s shape) end(p int) int { return s.descend(p, func(int) {}) }

// depth is the number of positions above p.
func (s shape) depth(p int) int {
	depth := 0
	s.descend(p, func(int) { depth++ })
	return depth
}
