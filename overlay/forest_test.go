package overlay

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/copper-hpc/copper/store"
)

// roster makes n nodes x0, x1, … that listen at "mem://x0" and so on.
func roster(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		host := fmt.Sprintf("x%d", i)
		nodes[i] = Node{Rank: i, Host: host, Endpoints: []string{"mem://" + host}}
	}
	return nodes
}

func mustForest(t interface{ Fatal(...any) }, nodes []Node, trees, fanout int) *Forest {
	f, err := NewForest(nodes, trees, fanout)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNaturalOrder(t *testing.T) {
	var nodes []Node
	for rank, host := range []string{"x10", "x2", "x2", "b", "x1000c3s0b1", "x1000c0s12b0", "x1000c0s3b0", "x", "", "10", "9"} {
		nodes = append(nodes, Node{Rank: rank, Host: host})
	}
	var got []string
	for _, rank := range neighbourly(nodes) {
		got = append(got, fmt.Sprintf("%s/%d", nodes[rank].Host, rank))
	}
	want := []string{
		"/8", "9/10", "10/9", "b/3", "x/7", "x2/1", "x2/2", "x10/0",
		"x1000c0s3b0/6", "x1000c0s12b0/5", "x1000c3s0b1/4",
	}
	if !slices.Equal(got, want) {
		t.Errorf("order\n got %v\nwant %v", got, want)
	}
}

func TestCompareHostsIsAnOrder(t *testing.T) {
	hosts := rapid.StringMatching(`[ax]?[0-9]{0,3}[ax:/]?[0-9]{0,2}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := hosts.Draw(t, "a"), hosts.Draw(t, "b"), hosts.Draw(t, "c")
		if compareHosts(a, b) != -compareHosts(b, a) {
			t.Fatal("not antisymmetric")
		}
		if compareHosts(a, b) <= 0 && compareHosts(b, c) <= 0 && compareHosts(a, c) > 0 {
			t.Fatal("not transitive")
		}
		if compareHosts(a, b) == 0 && compareHosts(a, c) != compareHosts(b, c) {
			t.Fatal("equal hosts compare differently")
		}
	})
}

func TestForest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := roster(rapid.IntRange(1, 300).Draw(t, "nodes"))
		f := mustForest(t, nodes, rapid.IntRange(0, 70).Draw(t, "trees"), rapid.IntRange(0, 9).Draw(t, "fanout"))
		roots := map[int]bool{}
		for tree := range f.Trees() {
			roots[f.Rank(tree, 0)] = true
			for rank := range nodes {
				if back := f.Rank(tree, f.Position(tree, rank)); back != rank {
					t.Fatalf("tree %d: rank %d is at the position of rank %d", tree, rank, back)
				}
				parent, ok := f.Parent(tree, rank)
				if ok != (f.Depth(tree, rank) > 0) {
					t.Fatalf("tree %d: rank %d at depth %d has a parent: %v", tree, rank, f.Depth(tree, rank), ok)
				}
				if ok && !slices.Contains(f.Children(tree, parent), rank) {
					t.Fatalf("tree %d: rank %d is not among the children of its parent %d", tree, rank, parent)
				}
				if ok && f.Position(tree, parent) >= f.Position(tree, rank) {
					t.Fatalf("tree %d: parent %d does not come before %d", tree, parent, rank)
				}
				bulk, bulkOK := f.BulkParent(tree, rank)
				if bulkOK != ok || ok && f.Position(tree, bulk) >= f.Position(tree, rank) {
					t.Fatalf("tree %d: bulk parent %d (%v) does not come before %d", tree, bulk, bulkOK, rank)
				}
			}
		}
		if len(roots) != f.Trees() {
			t.Fatalf("%d trees have %d roots", f.Trees(), len(roots))
		}
	})
}

func TestAutomaticTrees(t *testing.T) {
	for nodes, want := range map[int]int{1: 1, 2: 1, 8: 1, 9: 2, 40: 5, 512: 64, 10624: 64} {
		if f := mustForest(t, roster(nodes), 0, 0); f.Trees() != want || f.Fanout() != defaultFanout {
			t.Errorf("%d nodes: %d trees of fan-out %d, want %d of %d", nodes, f.Trees(), f.Fanout(), want, defaultFanout)
		}
	}
}

func TestForestRefuses(t *testing.T) {
	for name, nodes := range map[string][]Node{"empty": nil, "misplaced": {{Rank: 1}}} {
		if _, err := NewForest(nodes, 0, 0); err == nil {
			t.Errorf("a roster that is %s makes a forest", name)
		}
	}
	if _, err := NewForest(roster(1), -1, 0); err == nil {
		t.Error("-1 trees make a forest")
	}
}

func TestFingerprintTellsPlansApart(t *testing.T) {
	renamed := roster(20)
	renamed[3].Host = "y3"
	prints := map[uint64]string{}
	for name, f := range map[string]*Forest{
		"plain":     mustForest(t, roster(20), 2, 4),
		"trees":     mustForest(t, roster(20), 3, 4),
		"fan-out":   mustForest(t, roster(20), 2, 5),
		"more":      mustForest(t, roster(21), 2, 4),
		"host name": mustForest(t, renamed, 2, 4),
	} {
		if other, taken := prints[f.fingerprint]; taken {
			t.Errorf("%s and %s have the same fingerprint", name, other)
		}
		prints[f.fingerprint] = name
	}
	if again := mustForest(t, roster(20), 2, 4); prints[again.fingerprint] != "plain" {
		t.Error("the same plan has another fingerprint")
	}
}

func TestStripesGoToSuccessiveTrees(t *testing.T) {
	f := mustForest(t, roster(16), 7, 0)
	const path = "/lus/data.h5"
	if f.TreeOfChunk(path, 0) != f.Tree(path) || f.TreeOfChunk(path, stripeChunks-1) != f.Tree(path) {
		t.Error("the first stripe goes another way than the file's attributes")
	}
	trees := map[int]bool{}
	for stripe := range int64(7) {
		trees[f.TreeOfChunk(path, stripe*stripeChunks)] = true
	}
	if len(trees) != 7 {
		t.Errorf("7 stripes go to %d of 7 trees", len(trees))
	}
}

// TestPathsSpread takes names that differ in few characters, as those of a package do.
func TestPathsSpread(t *testing.T) {
	f := mustForest(t, roster(512), 0, 0)
	paths := make([]int, f.Trees())
	const each = 1000
	for i := range f.Trees() * each {
		paths[f.Tree(fmt.Sprintf("/lus/env/lib/python3.12/site-packages/pkg/mod%05d.py", i))]++
	}
	if least, most := slices.Min(paths), slices.Max(paths); least < each*8/10 || most > each*12/10 {
		t.Errorf("of %d paths per tree on average, trees have %d to %d", each, least, most)
	}
}

// TestForwardingIsShared: with as much bulk data in every tree, no node sends more than twice what it
// gets, and with many trees none sends much more than the others.
func TestForwardingIsShared(t *testing.T) {
	for _, n := range []int{9, 32, 64, 100, 585, 1024, 4096, 8300, 10624} {
		f := mustForest(t, roster(n), 0, 0)
		most := 0
		for rank := range n {
			children := 0
			for tree := range f.Trees() {
				children += len(f.bulk.children(f.Position(tree, rank)))
			}
			most = max(most, children)
		}
		limit := 2.0
		if f.Trees() == maxTrees {
			limit = 1.5
		}
		if ratio := float64(most) / float64(f.Trees()); ratio > limit {
			t.Errorf("%d nodes in %d trees: one sends %.2f times what it gets", n, f.Trees(), ratio)
		}
	}
}

// TestBulkGoesTheNarrowWay asks a leaf for a chunk of either kind and looks who forwarded it.
func TestBulkGoesTheNarrowWay(t *testing.T) {
	tree, origin := pfs(t, 0)
	tree.Write("/small", make([]byte, bulkLength-1))
	tree.Write("/large", make([]byte, bulkLength))
	c := start(t, plan{nodes: 8, trees: 1, origin: origin})
	f := c.members[0].forest
	leaf := c.at(0, 7)
	for path, parent := range map[string]func(tree, rank int) (int, bool){"/small": f.Parent, "/large": f.BulkParent} {
		attr := leaf.stat(t, path)
		rank, _ := parent(0, leaf.self)
		forwarder := c.members[rank]
		before := forwarder.Stats().Trees[0].BytesOut
		chunk, err := leaf.ReadChunk(t.Context(), store.File{Path: path, Version: attr.Version()}, 0)
		if err != nil {
			t.Fatal(err)
		}
		chunk.Release()
		if got := forwarder.Stats().Trees[0].BytesOut - before; got < bulkLength-1 || got > 3*bulkLength/2 {
			t.Errorf("%s: the parent, rank %d, sent %d bytes", path, rank, got)
		}
	}
	if a, _ := f.Parent(0, leaf.self); a != f.Rank(0, 0) {
		t.Errorf("the parent is rank %d, not the root", a)
	}
	if b, _ := f.BulkParent(0, leaf.self); b == f.Rank(0, 0) {
		t.Error("the bulk parent is the root, too")
	}
}
