package store

import (
	"context"
	"errors"
	"sort"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settling is how long a directory must have been quiet for its times to betray a later
	// change: coarser than any file system's clock, with some skew between clocks.
	settling = 3 * time.Second
	// listTries bounds how often a directory that changes while it is read is read again.
	listTries = 3
)

// List implements [Source]. A directory that changed while it was read is read again, a few
// times; then what was seen is returned as not complete.
func (o *Origin) List(ctx context.Context, dir string, known *Listing) (*Listing, error) {
	mt, err := o.enter(ctx, "readdir", dir)
	if err != nil {
		return nil, err
	}
	defer mt.leave()
	if known != nil && known.Complete && known.Settled {
		now, err := o.lstat(dir, mt, true)
		if err != nil {
			return nil, err
		}
		if now.Version() == known.Dir.Version() {
			return known.Renewed(time.Now().Add(o.negative)), nil
		}
	}
	for try := 1; ; try++ {
		l, err := o.readDir(dir, mt, known != nil)
		if errors.Is(err, unix.ESTALE) {
			l, err = o.readDir(dir, mt, true)
		}
		if err != nil {
			return nil, o.fail("readdir", dir, err)
		}
		if l.Complete || try == listTries || ctx.Err() != nil {
			l.Complete = l.Complete && mt.fsType != "autofs"
			return l, nil
		}
	}
}

// readDir reads a directory. afresh: its attributes are not to be those that the PFS client
// remembers; then the client does not give the names that it remembers either, if they are old.
func (o *Origin) readDir(dir string, mt mounted, afresh bool) (*Listing, error) {
	o.counts.readdir.Add(1)
	fd, err := o.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	flags := 0
	if afresh {
		flags = unix.AT_STATX_FORCE_SYNC
	}
	before, err := o.statx(fd, mt, flags)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	entries, err := readEntries(fd)
	if err != nil {
		return nil, err
	}
	after, err := o.statx(fd, mt, flags)
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, e := range entries {
		if o.mounts.at(join(dir, e.Name)).served() {
			kept = append(kept, e)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].Name < kept[j].Name })
	quiet := began.UnixNano() - max(before.Mtime, before.Ctime)
	return &Listing{
		Dir: after, Entries: kept,
		Complete: before.Version() == after.Version(),
		Settled:  quiet > int64(settling),
		Expires:  began.Add(o.negative),
	}, nil
}
