package overlay

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// shapes draws trees up to the size of the largest machine that Copper runs on.
var shapes = rapid.Custom(func(t *rapid.T) shape {
	return shape{
		nodes:  rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 10624)).Draw(t, "nodes"),
		fanout: rapid.IntRange(2, 40).Draw(t, "fanout"),
	}
})

// lowest is the least depth that a tree can have: the largest tree of depth d has
// 1 + k + k² + … + k^d nodes.
func (s shape) lowest() int {
	depth := 0
	for level, room := 1, 1; room < s.nodes; depth++ {
		level *= s.fanout
		room += level
	}
	return depth
}

func TestEveryNodeHasOneParent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := shapes.Draw(t, "shape")
		parents := make([]int, s.nodes)
		for p := range s.nodes {
			children := s.children(p)
			if len(children) > s.fanout {
				t.Fatalf("%d children below %d", len(children), p)
			}
			for _, child := range children {
				parents[child]++
				if above := s.ancestors(child); above[0] != p {
					t.Fatalf("%d is a child of %d, but its ancestors are %v", child, p, above)
				}
			}
		}
		if parents[0] != 0 {
			t.Fatal("the root has a parent")
		}
		for p, n := range parents[1:] {
			if n != 1 {
				t.Fatalf("position %d has %d parents", p+1, n)
			}
		}
	})
}

func TestAncestorsLeadToTheRoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := shapes.Draw(t, "shape")
		p := rapid.IntRange(0, s.nodes-1).Draw(t, "position")
		above := s.ancestors(p)
		if len(above) != s.depth(p) || len(above) > s.lowest() {
			t.Fatalf("ancestors %v at depth %d, where the tree need not be deeper than %d", above, s.depth(p), s.lowest())
		}
		for i, a := range above {
			if below := append([]int{p}, above...)[i]; a >= below {
				t.Fatalf("ancestor %d of %d does not come before it", a, below)
			}
		}
		if p != 0 && above[len(above)-1] != 0 {
			t.Fatalf("ancestors %v don't end at the root", above)
		}
	})
}

// TestSubtreesAreRanges checks that the children of a node cut what is below it into pieces that
// differ by one node at most, without a gap.
func TestSubtreesAreRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := shapes.Draw(t, "shape")
		p := rapid.IntRange(0, s.nodes-1).Draw(t, "position")
		end := s.descend(p, func(int) {})
		children := s.children(p)
		if len(children) == 0 {
			if end != p+1 {
				t.Fatalf("%d has no children, but its range ends at %d", p, end)
			}
			return
		}
		if children[0] != p+1 {
			t.Fatalf("the first child of %d is %d", p, children[0])
		}
		var sizes []int
		for i, child := range children {
			to := s.descend(child, func(int) {})
			if next := append(children, end)[i+1]; to != next {
				t.Fatalf("the range of %d ends at %d and the next begins at %d", child, to, next)
			}
			sizes = append(sizes, to-child)
		}
		if slices.Max(sizes)-slices.Min(sizes) > 1 {
			t.Fatalf("subtrees of %d have %v nodes", p, sizes)
		}
	})
}

func TestChain(t *testing.T) {
	s := shape{nodes: 4, fanout: 1}
	if got := s.ancestors(3); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("ancestors of the last in a chain: %v", got)
	}
}
