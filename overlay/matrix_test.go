package overlay

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// fault is a way to fail.
type fault struct {
	name   string
	strike func(*VirtualHost)
	heal   func(*VirtualHost) // nil: for good
	alive  bool               // its own reads go on
	bound  time.Duration      // of any one question's stall
}

var faults = []fault{
	{"kill", (*VirtualHost).Kill, nil, false, 5 * time.Second},
	{"stop", (*VirtualHost).Stop, (*VirtualHost).Heal, false, 5 * time.Second},
	{"cut", (*VirtualHost).Cut, (*VirtualHost).Heal, true, 5 * time.Second},
	{"slow", func(h *VirtualHost) { h.Delay(fleetSlow) }, func(h *VirtualHost) { h.Delay(0) }, true, 10 * time.Second},
	{"garbage", (*VirtualHost).Garbage, nil, false, 5 * time.Second},
}

// TestFaultMatrix: whoever fails, in whatever way and at whatever moment, everybody else reads everything as
// it is, without an error and without a long stall.
func TestFaultMatrix(t *testing.T) {
	const n, files = 64, 48
	forest := mustForest(t, roster(n), 0, 0)
	leaf := forest.Rank(0, n-1)
	ancestors := map[int]bool{}
	for _, s := range []shape{forest.shape, forest.bulk} {
		for _, above := range s.ancestors(n - 1) {
			ancestors[forest.Rank(0, above)] = true
		}
	}
	victims := map[string][]int{
		"root":      {forest.Rank(0, 0)},
		"interior":  {forest.Ancestors(0, leaf)[0]},
		"leaf":      {leaf},
		"ancestors": slices.Sorted(maps.Keys(ancestors)),
	}
	for _, role := range []string{"root", "interior", "leaf", "ancestors"} {
		for _, fault := range faults {
			for _, phase := range []string{"cold", "warm", "mid-read"} {
				if (raced || testing.Short()) && (phase != "mid-read" || role == "interior" || role == "leaf") {
					continue // with the race detector it takes ten times as long
				}
				t.Run(role+"/"+fault.name+"/"+phase, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						matrixCell(t, startFleet(t, n, files, 8, plan{}), victims[role], fault, phase)
					})
				})
			}
		}
	}
}

func matrixCell(t *testing.T, f *fleet, victims []int, fault fault, phase string) {
	paths := slices.Sorted(maps.Keys(f.truth))
	early, late := paths[:len(paths)/4], paths[len(paths)/4:]
	var readers []int
	for rank := range f.hosts {
		if fault.alive || !slices.Contains(victims, rank) {
			readers = append(readers, rank)
		}
	}
	strike := func() {
		for _, rank := range victims {
			fault.strike(f.hosts[rank])
		}
	}
	switch phase {
	case "cold":
		strike()
	case "warm":
		f.readAll(t, readers, early, 1)
		strike()
	case "mid-read":
		f.pause.Store(int64(50 * time.Millisecond))
		time.AfterFunc(30*time.Millisecond, strike)
	}
	f.readAll(t, readers, late, 2)
	long := 0
	for rank, n := range f.long {
		if fault.name != "slow" || !slices.Contains(victims, rank) { // to whom everybody is slow
			long = max(long, n)
		}
	}
	t.Logf("longest stall %v (%s), at most %d on one node; the PFS was asked %d times, by the first of all %d",
		f.stall, f.which, long, f.asked(), 2*len(paths))
	if f.stall > fault.bound {
		t.Errorf("a question took %v (%s)", f.stall, f.which)
	}
	if long > 12 {
		t.Errorf("one node was held up %d times", long)
	}
	if fault.heal == nil || phase != "warm" {
		return
	}
	for _, rank := range victims {
		fault.heal(f.hosts[rank])
	}
	time.Sleep(3 * time.Minute)
	if n := f.suspected(readers); n > 0 {
		t.Errorf("3 minutes after the end of the fault %d peers are still suspects", n)
	}
}
