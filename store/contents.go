package store

import (
	"slices"
	"strings"
	"time"
)

// Content is one entry of a Store's tables, for people to look at.
type Content struct {
	Table   string    // data, tree or metadata, as the uses in [Stats]
	Kind    string    // chunk; listing; attributes, absent, link, stale or unlisted
	Path    string    // in the view
	Index   int64     // of a chunk
	Names   int       // of a listing
	Bytes   int64     // that the entry takes of the budget
	Expires time.Time // zero: when it has to give way
}

// Contents lists the tables, by table and path. It holds the Store's lock while it copies.
func (s *Store) Contents() []Content {
	s.mu.Lock()
	all := make([]Content, 0, len(s.cache.entries))
	for k, e := range s.cache.entries {
		c := Content{Table: "metadata", Path: k.path, Index: k.index, Bytes: e.weight}
		switch v := e.value.(type) {
		case *Chunk:
			c.Table, c.Kind = "data", "chunk"
		case *Listing:
			c.Table, c.Kind, c.Names, c.Expires = "tree", "listing", len(v.Entries), v.Expires
		case *Error:
			c.Kind, c.Expires = "absent", v.Expires
		case time.Time:
			c.Kind, c.Expires = "unlisted", v
		case string:
			c.Kind = "link"
		case stale:
			c.Kind = "stale"
		default:
			c.Kind = "attributes"
		}
		all = append(all, c)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Content) int {
		for _, order := range []int{strings.Compare(a.Table, b.Table), strings.Compare(a.Path, b.Path),
			strings.Compare(a.Kind, b.Kind), int(a.Index - b.Index)} {
			if order != 0 {
				return order
			}
		}
		return 0
	})
	return all
}

// ForgetAbsences drops all that says of a name that it does not exist: absent names, and listings,
// which lack names. It returns the number of entries dropped.
func (s *Store) ForgetAbsences() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, e := range s.cache.entries {
		_, absent := e.value.(*Error)
		if absent {
			s.counts.Absences.Clears++
		}
		if absent || k.table == listings || k.table == unlisted {
			s.drop(k)
			n++
		}
	}
	return n
}
