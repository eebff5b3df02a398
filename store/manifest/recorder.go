package manifest

import (
	"context"
	"errors"
	"sync"
	"syscall"

	"github.com/copper-hpc/copper/store"
)

// mostAccesses bounds what a Recorder notes; at some 400 bytes each that is 100 MB.
const mostAccesses = 250_000

// Recorder is a [store.Source] in front of another that notes what is asked for the first time.
// It belongs on the kernel's side of everything, where only the application asks. After 250,000
// accesses it notes no more.
type Recorder struct {
	store.Source

	mu       sync.Mutex
	seen     map[Access]struct{}
	accesses []Access
}

// NewRecorder returns a Recorder in front of src.
func NewRecorder(src store.Source) *Recorder {
	return &Recorder{Source: src, seen: map[Access]struct{}{}}
}

// Accesses is what was asked so far, each once, in the order of the answers.
func (r *Recorder) Accesses() []Access {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Access(nil), r.accesses...)
}

func (r *Recorder) note(a Access) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.seen[a]; !ok && len(r.accesses) < mostAccesses {
		r.seen[a] = struct{}{}
		r.accesses = append(r.accesses, a)
	}
}

// Stat implements [store.Source].
func (r *Recorder) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	attr, err := r.Source.Stat(ctx, path, stale)
	var said *store.Error
	switch {
	case err == nil:
		a := Access{Op: Stat, Path: path, Kind: kindOf(attr)}
		if a.Kind == File {
			a.Size, a.Mtime = attr.Size, attr.Mtime
		}
		r.note(a)
	case errors.As(err, &said) && said.Absent():
		r.note(Access{Op: Stat, Path: path, Kind: Absent})
	}
	return attr, err
}

func kindOf(a store.Attr) Kind {
	switch a.Type() {
	case syscall.S_IFREG:
		return File
	case syscall.S_IFDIR:
		return Dir
	case syscall.S_IFLNK:
		return Link
	}
	return Other
}

// List implements [store.Source].
func (r *Recorder) List(ctx context.Context, dir string, known *store.Listing) (*store.Listing, error) {
	l, err := r.Source.List(ctx, dir, known)
	if err == nil {
		r.note(Access{Op: List, Path: dir, Kind: Dir, Names: len(l.Entries)})
	}
	return l, err
}

// ReadLink implements [store.Source].
func (r *Recorder) ReadLink(ctx context.Context, path string) (string, error) {
	target, err := r.Source.ReadLink(ctx, path)
	if err == nil {
		r.note(Access{Op: ReadLink, Path: path, Kind: Link})
	}
	return target, err
}

// ReadChunk implements [store.Source].
func (r *Recorder) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	c, err := r.Source.ReadChunk(ctx, file, index)
	if err == nil {
		from := index * store.ChunkSize
		r.note(Access{Op: ReadData, Path: file.Path, Kind: File, Size: file.Version.Size,
			From: from, To: from + int64(file.ChunkLen(index))})
	}
	return c, err
}
