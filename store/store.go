package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Store answers from memory and asks its upstream when it cannot. Concurrent askers of one
// question share one upstream request. It is itself a [Source].
type Store struct {
	upstream Source
	mem      *Memory

	// OnChange, if set before the first question, is told the path of what the Store found
	// changed, so that the kernel can be told too. It must not block.
	OnChange func(path string)

	mu      sync.Mutex
	cache   cache
	flights map[key]*flight
	holds   []hold
	counts  Counts
}

const (
	// Bytes of the Go heap that an entry costs beside its strings, rounded up: the entry, its
	// key twice, its value, a ghost.
	entryCost = 400
	// Bytes that one name of a listing costs beside the name.
	listedCost = 56
	// Directories of a larger size than this, in bytes (some 100,000 names), are not listed only
	// because a name was missing.
	listedLimit = 8 << 20
)

// NewStore returns an empty Store in front of upstream that keeps what it learns within mem. A Memory
// serves one Store.
func NewStore(upstream Source, mem *Memory) *Store {
	s := &Store{upstream: upstream, mem: mem, cache: newCache(), flights: map[key]*flight{}}
	mem.reclaim = s.evictOne
	return s
}

var _ Source = (*Store)(nil)

// Stat implements [Source]. A name that is absent from a complete listing of its directory does
// not exist; the first miss in a directory fetches that listing.
func (s *Store) Stat(ctx context.Context, path string, stale Version) (Attr, error) {
	if stale != (Version{}) {
		s.markStale(path, stale)
	}
	if a, err, ok := s.known(path); ok {
		s.count(OpStat, true, err)
		return a, err
	}
	dir, name := split(path)
	if absent, err := s.listedAbsent(ctx, dir, name); absent != nil || err != nil {
		if err != nil {
			return Attr{}, err
		}
		absent.Path = path
		s.count(OpStat, true, absent)
		return Attr{}, absent
	}
	k := key{table: attrs, path: path}
	v, hit, err := s.get(ctx, k, func(ctx context.Context) (any, error) {
		a, err := s.upstream.Stat(ctx, path, s.staleVersion(path))
		var absent *Error
		if errors.As(err, &absent) && absent.Absent() {
			s.listOnMiss(ctx, dir)
		}
		return a, err
	})
	if miss, ok := v.(*Error); ok {
		err = miss
	}
	s.count(OpStat, hit, err)
	switch Errno(err) {
	case 0:
		return v.(Attr), nil
	case syscall.ESTALE, syscall.ENOTDIR:
		if !hit {
			s.doubt(dir)
		}
	}
	return Attr{}, err
}

// known looks path up in the attribute table alone.
func (s *Store) known(path string) (Attr, error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.cached(key{table: attrs, path: path})
	if !ok {
		return Attr{}, nil, false
	}
	if absent, ok := v.(*Error); ok {
		return Attr{}, absent, true
	}
	return v.(Attr), nil, true
}

// listedAbsent concludes from a listing of dir, if there is one or one is on its way, that name
// does not exist: nil, nil where nothing can be concluded. A listing whose lease has ended is
// renewed only for a name that it lacks.
func (s *Store) listedAbsent(ctx context.Context, dir, name string) (*Error, error) {
	if name == "" || len(name) > unix.NAME_MAX { // a name that is too long is another error
		return nil, nil
	}
	k := key{table: listings, path: dir}
	s.mu.Lock()
	l := s.listing(dir)
	under := s.flights[k] != nil
	s.mu.Unlock()
	if l == nil && !under {
		return nil, nil
	}
	if l != nil {
		if _, there := l.Find(name); there {
			return nil, nil
		}
	}
	if l == nil || !time.Now().Before(l.Expires) {
		var err error
		if l, _, err = s.list(ctx, dir); err != nil {
			return nil, ctx.Err() // the exact path will tell
		}
	}
	if _, there := l.Find(name); there || !l.Complete {
		return nil, nil
	}
	return &Error{Op: "lstat", Errno: syscall.ENOENT, Expires: l.Expires}, nil
}

// listOnMiss fetches the listing of a directory in which a name was missing, once, unless the
// directory is too large for that, or known not to be listable.
func (s *Store) listOnMiss(ctx context.Context, dir string) {
	s.mu.Lock()
	if s.listing(dir) != nil {
		s.mu.Unlock()
		return
	}
	if until, ok := s.cache.get(key{table: unlisted, path: dir}); ok && time.Now().Before(until.(time.Time)) {
		s.mu.Unlock()
		return
	}
	if v, ok := s.cached(key{table: attrs, path: dir}); ok {
		if a, ok := v.(Attr); ok && a.Size > listedLimit {
			s.mu.Unlock()
			return
		}
	}
	s.mu.Unlock()
	if l, _, err := s.list(ctx, dir); ctx.Err() == nil && (err != nil || !l.Complete) {
		s.mu.Lock()
		s.put(key{table: unlisted, path: dir}, time.Now().Add(time.Minute))
		s.mu.Unlock()
	}
}

// List implements [Source]. It needs no known listing: it holds its own.
func (s *Store) List(ctx context.Context, dir string, _ *Listing) (*Listing, error) {
	l, hit, err := s.list(ctx, dir)
	s.count(OpList, hit, err)
	return l, err
}

// list answers from a listing whose lease runs, else asks upstream to renew the one that is held.
func (s *Store) list(ctx context.Context, dir string) (l *Listing, hit bool, err error) {
	v, hit, err := s.get(ctx, key{table: listings, path: dir}, func(ctx context.Context) (any, error) {
		s.mu.Lock()
		known := s.listing(dir)
		s.mu.Unlock()
		return s.upstream.List(ctx, dir, known)
	})
	if err != nil {
		switch Errno(err) {
		case syscall.ESTALE, syscall.ENOTDIR, syscall.ENOENT:
			s.doubt(dir)
		}
		return nil, hit, err
	}
	return v.(*Listing), hit, nil
}

// ReadLink implements [Source].
func (s *Store) ReadLink(ctx context.Context, path string) (string, error) {
	v, hit, err := s.get(ctx, key{table: links, path: path}, func(ctx context.Context) (any, error) {
		return s.upstream.ReadLink(ctx, path)
	})
	s.count(OpReadLink, hit, err)
	if err != nil {
		switch Errno(err) {
		case syscall.ESTALE, syscall.ENOTDIR, syscall.ENOENT, syscall.EINVAL:
			s.doubt(path)
		}
		return "", err
	}
	return v.(string), nil
}

// ReadChunk implements [Source]. ESTALE from upstream drops what is known of the file, so that
// the next Stat sees its new version.
func (s *Store) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	if file.ChunkLen(index) == 0 {
		return nil, &Error{Op: "read", Path: file.Path, Errno: syscall.EINVAL}
	}
	k := key{table: chunks, path: file.Path, version: file.Version, index: index}
	v, hit, err := s.get(ctx, k, func(ctx context.Context) (any, error) {
		c, err := s.upstream.ReadChunk(ctx, file, index)
		if c == nil { // a nil *Chunk in an interface is not nil
			return nil, err
		}
		return c, err
	})
	s.count(OpRead, hit, err)
	if err != nil {
		if Errno(err) == syscall.ESTALE {
			s.markStale(file.Path, file.Version)
		}
		return nil, err
	}
	return v.(*Chunk), nil
}

// split cuts a cleaned absolute path into its directory and its last name; "/" has no name.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 1)], path[i+1:]
}
