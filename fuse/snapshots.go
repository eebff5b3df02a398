package fuse

import (
	"container/list"
	"sync"

	"github.com/copper-hpc/copper/store"
)

const (
	maxSnapshots       = 64      // directory streams that can go on side by side while directories change
	maxSnapshotEntries = 1 << 19 // entries in all of them
	maxGeneration      = 1<<31 - 1
)

// snapshots keeps the listings that directory streams are reading, so that every stream goes on in
// the listing in which it began, however the directory changes. There is no OPENDIR and no
// RELEASEDIR to mark beginning and end, so a stream carries the number of its snapshot in its
// offsets, and the least recently used snapshots are dropped. Listings are shared with whoever
// gave them; a snapshot usually costs nothing.
type snapshots struct {
	mu      sync.Mutex
	last    uint64
	byGen   map[uint64]*list.Element // of *snapshot
	byNode  map[uint64]*list.Element // latest snapshot of a directory
	recent  *list.List               // INVARIANT: most recently used first
	entries int
}

type snapshot struct {
	generation uint64
	node       uint64
	listing    *store.Listing
}

func newSnapshots() *snapshots {
	return &snapshots{
		byGen:  make(map[uint64]*list.Element),
		byNode: make(map[uint64]*list.Element),
		recent: list.New(),
	}
}

// start is the beginning of a stream: it returns the generation that the stream's offsets carry.
func (s *snapshots) start(node uint64, l *store.Listing) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byNode[node]; e != nil && sameEntries(e.Value.(*snapshot).listing, l) {
		s.recent.MoveToFront(e)
		return e.Value.(*snapshot).generation
	}
	s.last = s.last%maxGeneration + 1
	e := s.recent.PushFront(&snapshot{generation: s.last, node: node, listing: l})
	s.byGen[s.last], s.byNode[node] = e, e
	s.entries += len(l.Entries)
	for s.recent.Len() > 1 && (s.recent.Len() > maxSnapshots || s.entries > maxSnapshotEntries) {
		s.drop(s.recent.Back())
	}
	return s.last
}

// find returns the listing in which the stream of that generation began, or nil if it was dropped.
func (s *snapshots) find(node, generation uint64) *store.Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byGen[generation]
	if e == nil || e.Value.(*snapshot).node != node {
		return nil
	}
	s.recent.MoveToFront(e)
	return e.Value.(*snapshot).listing
}

func (s *snapshots) drop(e *list.Element) {
	snap := s.recent.Remove(e).(*snapshot)
	delete(s.byGen, snap.generation)
	if s.byNode[snap.node] == e {
		delete(s.byNode, snap.node)
	}
	s.entries -= len(snap.listing.Entries)
}

// sameEntries tells whether an index into a is surely the same index into b.
func sameEntries(a, b *store.Listing) bool {
	if len(a.Entries) != len(b.Entries) {
		return false
	}
	if len(a.Entries) == 0 || &a.Entries[0] == &b.Entries[0] {
		return true
	}
	return a.Complete && b.Complete && a.Settled && b.Settled && a.Dir.Version() == b.Dir.Version()
}
