package store

import (
	"context"
	"fmt"
	"path"
	"syscall"
)

// Allow is a [Source] in front of another that answers only for some prefixes of the view. It belongs
// in front of a node's [Store], for the kernel and the other nodes alike: nothing else of the node
// answers anybody.
//
// The directories that lead to a prefix are there, with nothing in them but the way on. All else is
// EACCES, whether it exists or not. A symbolic link below a prefix is read as it is; where it leads
// is asked for by its own path, and refused if that is not allowed.
type Allow struct {
	Source
	prefixes []string
	// leading holds the directories on the way to a prefix, each with the names to go on by.
	leading map[string]map[string]bool
}

// CheckPrefix tells in one line what is wrong with a prefix, or nil.
func CheckPrefix(prefix string) error {
	if !path.IsAbs(prefix) {
		return fmt.Errorf("%q is not an absolute path of the view", prefix)
	}
	return nil
}

// NewAllow returns an Allow for the prefixes, each an absolute path of the view and allowed with all
// that is below it.
func NewAllow(src Source, prefixes []string) *Allow {
	a := &Allow{Source: src, leading: map[string]map[string]bool{}}
	for _, prefix := range prefixes {
		prefix = path.Clean(prefix)
		a.prefixes = append(a.prefixes, prefix)
		for p := prefix; p != "/"; {
			dir, name := split(p)
			if a.leading[dir] == nil {
				a.leading[dir] = map[string]bool{}
			}
			a.leading[dir][name] = true
			p = dir
		}
	}
	return a
}

// allowed tells whether all of path may be seen.
func (a *Allow) allowed(path string) bool {
	for _, prefix := range a.prefixes {
		if below(path, prefix) {
			return true
		}
	}
	return false
}

func refusal(op, path string) error { return &Error{Op: op, Path: path, Errno: syscall.EACCES} }

// Stat implements [Source].
func (a *Allow) Stat(ctx context.Context, path string, stale Version) (Attr, error) {
	if a.leading[path] == nil && !a.allowed(path) {
		return Attr{}, refusal("lstat", path)
	}
	return a.Source.Stat(ctx, path, stale)
}

// List implements [Source].
func (a *Allow) List(ctx context.Context, dir string, known *Listing) (*Listing, error) {
	if a.allowed(dir) {
		return a.Source.List(ctx, dir, known)
	}
	on := a.leading[dir]
	if on == nil {
		return nil, refusal("readdir", dir)
	}
	l, err := a.Source.List(ctx, dir, nil) // what is known lacks names
	if err != nil {
		return nil, err
	}
	seen := *l
	seen.Entries = nil
	for _, e := range l.Entries {
		if on[e.Name] {
			seen.Entries = append(seen.Entries, e)
		}
	}
	return &seen, nil
}

// ReadLink implements [Source]. A link that leads to a prefix may be read, to say where that is.
func (a *Allow) ReadLink(ctx context.Context, path string) (string, error) {
	if a.leading[path] == nil && !a.allowed(path) {
		return "", refusal("readlink", path)
	}
	return a.Source.ReadLink(ctx, path)
}

// ReadChunk implements [Source].
func (a *Allow) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	if !a.allowed(file.Path) {
		return nil, refusal("read", file.Path)
	}
	return a.Source.ReadChunk(ctx, file, index)
}
