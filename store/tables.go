package store

import (
	"errors"
	"strings"
	"time"
)

// stale is what the attribute table holds of a file whose last known version is gone.
type stale Version

// cached looks k up and passes over what has expired or is stale. Called with mu.
func (s *Store) cached(k key) (any, bool) {
	v, ok := s.cache.get(k)
	if !ok {
		return nil, false
	}
	switch v := v.(type) {
	case *Error:
		if ok = time.Now().Before(v.Expires); !ok {
			s.counts.Absences.Expires++
			s.drop(k)
		}
	case *Listing:
		ok = time.Now().Before(v.Expires)
	case stale:
		ok = false
	}
	return v, ok
}

// listing is the listing of dir that the tables hold, expired or not; nil if none. Called with mu.
func (s *Store) listing(dir string) *Listing {
	l, _ := s.cache.get(key{table: listings, path: dir})
	listing, _ := l.(*Listing)
	return listing
}

// learn keeps the outcome of a flight. Called with mu.
func (s *Store) learn(k key, value any, err error) {
	if s.held(k) {
		return
	}
	if err != nil {
		var absent *Error
		if k.table == attrs && errors.As(err, &absent) && absent.Absent() && time.Now().Before(absent.Expires) {
			s.put(k, absent)
			s.counts.Absences.Stores++
		}
		return
	}
	switch v := value.(type) {
	case *Listing:
		if !v.Complete {
			s.drop(k)
			return
		}
		if old := s.listing(k.path); old != nil && old.Dir.Version() != v.Dir.Version() {
			s.contradict(k.path, old, v)
		}
	case *Chunk:
		v.Retain()
	}
	s.put(k, value)
}

// contradict drops what is known of the names that a new listing shows gone or replaced, and
// takes over the directory's own attributes. Called with mu.
func (s *Store) contradict(dir string, old, now *Listing) {
	s.put(key{table: attrs, path: dir}, now.Dir)
	s.changed(dir)
	for _, e := range old.Entries {
		n, there := now.Find(e.Name)
		if there && n == e {
			continue
		}
		path := join(dir, e.Name)
		s.drop(key{table: links, path: path})
		k := key{table: attrs, path: path}
		if a, ok := s.cache.get(k); ok {
			if a, ok := a.(Attr); ok {
				s.put(k, stale(a.Version()))
			}
		}
		s.changed(path)
	}
}

// markStale drops what is known of a file if it is of version v.
func (s *Store) markStale(path string, v Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{table: attrs, path: path}
	if a, ok := s.cache.get(k); ok {
		if a, ok := a.(Attr); !ok || a.Version() != v {
			return
		}
	}
	s.put(k, stale(v))
	s.drop(key{table: links, path: path})
	s.changed(path)
}

// doubt makes the attributes of path and of all directories on the way to be asked again: an answer
// contradicts them. It takes a kernel that walks the whole way to find which of them is wrong.
func (s *Store) doubt(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := path; p != "/"; p, _ = split(p) {
		k := key{table: attrs, path: p}
		v, _ := s.cache.get(k)
		if a, ok := v.(Attr); ok {
			s.put(k, stale(a.Version()))
		}
	}
	s.changed(path)
}

// staleVersion is the version of path that is known to be gone; zero if none.
func (s *Store) staleVersion(path string) Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ := s.cache.get(key{table: attrs, path: path})
	gone, _ := v.(stale)
	return Version(gone)
}

func (s *Store) changed(path string) {
	if s.OnChange != nil {
		s.OnChange(path)
	}
}

// put keeps value under k in place of what was there, evicting others until it fits; a value for
// which there is no room even then is not kept. Called with mu.
func (s *Store) put(k key, value any) {
	s.drop(k)
	e := &entry{key: k, value: value, size: int64(entryCost + 2*len(k.path))}
	switch v := value.(type) {
	case string:
		e.size += int64(len(v))
	case *Listing:
		for _, n := range v.Entries {
			e.size += int64(listedCost + len(n.Name))
		}
	}
	e.weight = e.size
	if c, ok := value.(*Chunk); ok {
		e.weight += int64(len(c.data))
	}
	for !s.mem.charge(e.size) {
		if !s.evict() {
			if c, ok := value.(*Chunk); ok {
				c.Release()
			}
			return
		}
	}
	s.cache.add(e)
}

// drop removes k if it is there. Called with mu.
func (s *Store) drop(k key) {
	if e, ok := s.cache.entries[k]; ok {
		s.cache.remove(e)
		s.free(e)
	}
}

// free gives back what a removed entry held.
func (s *Store) free(e *entry) {
	s.mem.uncharge(e.size)
	if c, ok := e.value.(*Chunk); ok {
		c.Release()
	}
}

// evict gives up the entry that is worth least. Called with mu.
func (s *Store) evict() bool {
	e := s.cache.evict()
	if e == nil {
		return false
	}
	s.free(e)
	s.counts.Evictions++
	return true
}

func (s *Store) evictOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evict()
}

func below(path, prefix string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix) && path[len(prefix)] == '/'
}

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}
