package profiling

import (
	"slices"
	"strings"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Snapshot is all that one daemon has counted since its start.
type Snapshot struct {
	Host     string
	PID      int // of the daemon
	Rank     int
	Restarts int // daemons of this rank that died before this one, with their counts
	Taken    time.Time
	Up       time.Duration // since the daemon's start
	// KernelCache is false where the kernel was told to keep nothing, so that it asks every time.
	KernelCache bool

	Requests    map[string]uint64 // that the kernel sent, by FUSE opcode
	PushedBytes int64             // put into the page cache before the kernel asked
	Warmed      int64             // accesses of copper warm
	WarmedBytes int64             // of PushedBytes, by copper warm
	Store       store.Stats
	PFS         store.OriginCounts
	Network     Network
	Compression Compression

	Operations []OperationCounts // by [Snapshot.Add]
	Spans      []Span
	Top        []TopPath
	Paths      []PathUse // nil: not asked for
	LeftOut    int64     // answers about paths for which Paths had no room
}

// Network is what a node's overlay counts.
type Network struct {
	Trees       []Tree
	Failovers   int64
	DirectReads int64
	Hedges      int64
	HedgesWon   int64
	Suspects    int64
	Slow        int64
}

// Tree is the traffic with the parents and children in one tree.
type Tree struct{ Asked, Answered, BytesIn, BytesOut int64 }

// Compression is what came of compressing file data.
type Compression struct{ Tried, Skipped, RawBytes, EncodedBytes, Decoded int64 }

// Add puts into s what r counted; paths tells whether the table of all paths is wanted too, if there
// is one.
func (s *Snapshot) Add(r *Recorder, paths bool) {
	s.Operations = append(r.Operations(), otherOperations(s.Requests)...)
	slices.SortStableFunc(s.Operations[Operations:], func(a, b OperationCounts) int { return strings.Compare(a.Name, b.Name) })
	s.Spans = r.spans.read()
	if r.top != nil {
		s.Top = r.top.read()
	}
	if paths && r.paths != nil {
		s.Paths, s.LeftOut = r.paths.read()
	}
}

// total sums the operations up.
func (s *Snapshot) total() (t OperationCounts) {
	for i := range s.Operations {
		t.add(&s.Operations[i])
	}
	return t
}
