package main

import (
	"math"
	"runtime/debug"
	"testing"
)

// TestHeapLimit: the limit is set from what is in the heap, not from file data, which is not, and
// follows the tables.
func TestHeapLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	const budget = 256 << 20
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	t.Setenv("GOMEMLIMIT", "")
	l := newHeapLimit()
	l.follow(0, budget)
	if got := limit(); got > 100<<20 {
		t.Errorf("without tables: %d MiB", got>>20)
	}
	l.follow(budget, budget)
	if got := limit(); got < budget*5/4 || got > budget+150<<20 {
		t.Errorf("with tables alone: %d MiB", got>>20)
	}
	l.follow(0, budget)
	if got := limit(); got > 100<<20 {
		t.Errorf("without tables again: %d MiB", got>>20)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOMEMLIMIT", "1GiB")
	l = newHeapLimit()
	l.follow(budget, budget)
	if limit() != math.MaxInt64 {
		t.Error("the user's own limit was replaced")
	}
}

// TestHeapCollections: they are put off while a daemon starts, then as frequent as the user has them.
func TestHeapCollections(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	const usual = 77
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	percent := func() int {
		now := debug.SetGCPercent(usual)
		debug.SetGCPercent(now)
		return now
	}
	l := newHeapLimit()
	if got := percent(); got != startPercent {
		t.Errorf("at the start: %d", got)
	}
	for range 2 {
		l.started()
		if got := percent(); got != usual {
			t.Errorf("after the start: %d", got)
		}
	}
}
