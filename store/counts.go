package store

// Op is a question, for counting.
type Op int

// The four questions of a [Source].
const (
	OpStat Op = iota
	OpList
	OpReadLink
	OpRead
	Ops
)

// String is the operation's name in outputs.
func (o Op) String() string { return [...]string{"stat", "list", "readlink", "read"}[o] }

// OpCounts counts the answers to one kind of question.
type OpCounts struct {
	Hits      int64 `json:"hits"`      // answered from memory
	Misses    int64 `json:"misses"`    // asked upstream, alone or together with others
	Negatives int64 `json:"negatives"` // of both: "not there"
	Errors    int64 `json:"errors"`    // of both: other failures
}

// AbsenceCounts counts what became of names that are known not to exist. A name that a complete
// listing lacks is served without having been stored.
type AbsenceCounts struct {
	Stores  int64 `json:"stores"`
	Serves  int64 `json:"serves"`  // answers "not there" from memory
	Expires int64 `json:"expires"` // found by a question after their lifetime
	Clears  int64 `json:"clears"`  // dropped by Forget
}

// Counts is what a Store counted.
type Counts struct {
	Ops       [Ops]OpCounts
	Absences  AbsenceCounts
	Evictions int64
}

// Stats is a reading of a Store.
type Stats struct {
	Counts
	Memory MemoryUse
	Tree   Use // listings
	Meta   Use // attributes, absences, links
	Data   Use // chunks
}

// Stats reads the Store's counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.cache.use
	return Stats{
		Counts: s.counts,
		Memory: s.mem.Use(),
		Tree:   u[listings],
		Meta: Use{
			Entries: u[attrs].Entries + u[links].Entries + u[unlisted].Entries,
			Bytes:   u[attrs].Bytes + u[links].Bytes + u[unlisted].Bytes,
		},
		Data: u[chunks],
	}
}

func (s *Store) count(op Op, hit bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counts.Ops[op]
	if hit {
		c.Hits++
	} else {
		c.Misses++
	}
	switch errno := Errno(err); {
	case errno == 0:
	case (&Error{Errno: errno}).Absent():
		c.Negatives++
		if op == OpStat && hit {
			s.counts.Absences.Serves++
		}
	default:
		c.Errors++
	}
}
