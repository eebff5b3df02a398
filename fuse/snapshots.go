package fuse

import (
	"container/list"
	"hash/maphash"
	"sync"

	"github.com/copper-hpc/copper/store"
)

const (
	maxSnapshots       = 4096    // directory streams that surely can go on side by side
	maxSnapshotEntries = 1 << 19 // entries in all of them

	// numbered and identified part the generations: those that are counted, and those that tell
	// what is in the listing. All are less than 1<<31, so that offsets are positive.
	numbered   = 1<<30 - 1
	identified = 1 << 30
)

// snapshots keeps the listings that directory streams are reading, so that every stream goes on in
// the listing in which it began, however the directory changes. There is no OPENDIR and no
// RELEASEDIR to mark beginning and end, so a stream carries the number of its snapshot in its
// offsets, and the least recently used snapshots are dropped. A stream that has lost its snapshot
// can still go on if the directory has not changed: then the listing has the same number again.
// Listings are shared with whoever gave them; a snapshot usually costs nothing.
type snapshots struct {
	mu      sync.Mutex
	seed    maphash.Seed
	last    uint64
	byKey   map[snapshotKey]*list.Element // of *snapshot
	byNode  map[uint64]*list.Element      // latest snapshot of a directory
	recent  *list.List                    // INVARIANT: most recently used first
	entries int
}

type snapshotKey struct{ node, generation uint64 }

type snapshot struct {
	snapshotKey
	listing *store.Listing
}

func newSnapshots() *snapshots {
	return &snapshots{
		seed:   maphash.MakeSeed(),
		byKey:  make(map[snapshotKey]*list.Element),
		byNode: make(map[uint64]*list.Element),
		recent: list.New(),
	}
}

// start is the beginning of a stream: it returns the generation that the stream's offsets carry.
func (s *snapshots) start(node uint64, l *store.Listing) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := snapshotKey{node, s.identity(l)}
	e := s.byKey[key]
	if latest := s.byNode[node]; key.generation == 0 && latest != nil && shareEntries(latest.Value.(*snapshot).listing, l) {
		e = latest
	}
	if e != nil {
		s.recent.MoveToFront(e)
		return e.Value.(*snapshot).generation
	}
	if key.generation == 0 {
		s.last = s.last%numbered + 1
		key.generation = s.last
	}
	e = s.recent.PushFront(&snapshot{key, l})
	s.byKey[key], s.byNode[node] = e, e
	s.entries += len(l.Entries)
	for s.recent.Len() > 1 && (s.recent.Len() > maxSnapshots || s.entries > maxSnapshotEntries) {
		s.drop(s.recent.Back())
	}
	return key.generation
}

// find returns the listing in which the stream of that generation began, or nil if it was dropped.
func (s *snapshots) find(node, generation uint64) *store.Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[snapshotKey{node, generation}]
	if e == nil {
		return nil
	}
	s.recent.MoveToFront(e)
	return e.Value.(*snapshot).listing
}

func (s *snapshots) drop(e *list.Element) {
	snap := s.recent.Remove(e).(*snapshot)
	delete(s.byKey, snap.snapshotKey)
	if s.byNode[snap.node] == e {
		delete(s.byNode, snap.node)
	}
	s.entries -= len(snap.listing.Entries)
}

// identity is the generation of a listing whose directory's version tells what is in it, 0 for
// others. Two states of one directory that have the same are one in a thousand million.
func (s *snapshots) identity(l *store.Listing) uint64 {
	if !l.Complete || !l.Settled {
		return 0
	}
	type content struct {
		directory store.Version
		entries   int
	}
	hash := maphash.Comparable(s.seed, content{l.Dir.Version(), len(l.Entries)})
	return identified | hash&(identified-1)
}

// shareEntries tells whether two listings are one, perhaps with another lease.
func shareEntries(a, b *store.Listing) bool {
	return len(a.Entries) == len(b.Entries) && (len(a.Entries) == 0 || &a.Entries[0] == &b.Entries[0])
}
