package store

import (
	"slices"
	"time"
)

// hold is a prefix of which nothing is kept for a while.
type hold struct {
	prefix string
	until  time.Time
}

// Forget drops everything that is known of prefix and below it ("/" for all), and answers that
// are under way will not be kept. It returns the number of entries dropped. OnChange is not
// called: who clears tells the kernel as a whole.
func (s *Store) Forget(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, e := range s.cache.entries {
		if concerns(prefix, k) {
			if _, absent := e.value.(*Error); absent {
				s.counts.Absences.Clears++
			}
			s.drop(k)
			n++
		}
	}
	for k, f := range s.flights {
		if concerns(prefix, k) {
			f.detached = true
			delete(s.flights, k)
		}
	}
	return n
}

// Hold is Forget, after which nothing is kept of prefix and below it: until a Release of the same
// prefix, or for the given time at most. Meanwhile questions are passed on and answered as ever.
//
// Stores that ask one another are made to forget by holding all of them, and then releasing all:
// else one that has forgotten learns the old again from one that has not.
func (s *Store) Hold(prefix string, most time.Duration) int {
	s.mu.Lock()
	s.holds = append(s.holds, hold{prefix, time.Now().Add(most)})
	s.mu.Unlock()
	return s.Forget(prefix)
}

// Release ends a Hold. What was asked meanwhile is not kept even if its answer comes later.
func (s *Store) Release(prefix string) int {
	n := s.Forget(prefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.holds, func(h hold) bool { return h.prefix == prefix }); i >= 0 {
		s.holds = slices.Delete(s.holds, i, i+1)
	}
	return n
}

// held tells whether nothing may be kept under k. Called with mu.
func (s *Store) held(k key) bool {
	if len(s.holds) == 0 {
		return false
	}
	now := time.Now()
	s.holds = slices.DeleteFunc(s.holds, func(h hold) bool { return !now.Before(h.until) })
	return slices.ContainsFunc(s.holds, func(h hold) bool { return concerns(h.prefix, k) })
}

// concerns tells whether k is about prefix or below it, or lists the directory that prefix is in,
// which tells whether it exists.
func concerns(prefix string, k key) bool {
	if dir, name := split(prefix); k.table == listings && k.path == dir && name != "" {
		return true
	}
	return below(k.path, prefix)
}
