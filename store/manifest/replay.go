package manifest

import (
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

const (
	// replayFlights bounds the questions that a Replay has under way. It covers the latency of a
	// few nodes and of the PFS, and leaves the room on the links to the application.
	replayFlights = 16
	// quietPoll is how often a Replay that gives way looks whether it may go on.
	quietPoll = 5 * time.Millisecond
)

// Replay asks a [store.Source] what an application will ask, so that the stores on the way have it by
// then. While somebody waits for an answer it has no more than one question under way.
type Replay struct {
	Source store.Source
	// Busy, if set, tells whether the application waits for an answer.
	Busy func() bool
	// Budget is how much file data is asked for at most, in bytes, whole chunks counted: what does
	// not stay in memory would be read in vain.
	Budget int64

	counts struct{ accesses, done, chunks, leftOut, gone, changed, failed atomic.Int64 }
	spent  atomic.Int64
}

// Progress is how far a [Replay] has come. Chunks are of up to [store.ChunkSize] bytes.
type Progress struct {
	Accesses int64 `json:"accesses"` // known so far; a walk finds more on its way
	Done     int64 `json:"done"`     // of Accesses
	Bytes    int64 `json:"bytes"`    // of file data that is in memory now
	LeftOut  int64 `json:"left_out"` // bytes of file data for which there was no room
	Gone     int64 `json:"gone"`     // accesses to what is not there any more
	Changed  int64 `json:"changed"`  // files that are not as they were when the manifest was recorded
	Failed   int64 `json:"failed"`   // accesses that met another error
}

// Progress may be called at any time.
func (r *Replay) Progress() Progress {
	c := &r.counts
	return Progress{Accesses: c.accesses.Load(), Done: c.done.Load(), Bytes: c.chunks.Load(), LeftOut: c.leftOut.Load(),
		Gone: c.gone.Load(), Changed: c.changed.Load(), Failed: c.failed.Load()}
}

// Run asks what accesses say, about in their order, and returns those that got an answer as it is
// now: with the present size of a file, and without what is gone, failed or found no room.
func (r *Replay) Run(ctx context.Context, accesses []Access) []Access {
	r.counts.accesses.Add(int64(len(accesses)))
	held := make([]bool, len(accesses))
	now := make([]Access, len(accesses))
	r.each(ctx, len(accesses), func(i int) {
		now[i] = accesses[i]
		held[i] = r.ask(ctx, &now[i])
		r.counts.done.Add(1)
	})
	answered := now[:0]
	for i, a := range now {
		if held[i] {
			answered = append(answered, a)
		}
	}
	return answered
}

// Walk asks for everything at dir and below, links not followed, and returns it as [Replay.Run] does.
func (r *Replay) Walk(ctx context.Context, dir string) []Access {
	all := r.Run(ctx, []Access{{Op: Stat, Path: dir, Kind: Other}})
	level := all
	for len(level) > 0 {
		var next []Access
		for _, a := range level {
			switch a.Kind {
			case Dir:
				next = append(next, Access{Op: List, Path: a.Path, Kind: Dir})
			case Link:
				next = append(next, Access{Op: ReadLink, Path: a.Path, Kind: Link})
			case File:
				if a.Size > 0 {
					next = append(next, Access{Op: ReadData, Path: a.Path, Kind: File, Size: a.Size, To: a.Size})
				}
			}
		}
		found := r.Run(ctx, next)
		all = append(all, found...)
		level = r.Run(ctx, r.names(ctx, found))
		all = append(all, level...)
	}
	return all
}

// names are the stats of all names in the directories that were listed.
func (r *Replay) names(ctx context.Context, found []Access) []Access {
	var stats []Access
	for _, a := range found {
		if a.Op != List {
			continue
		}
		l, err := r.Source.List(ctx, a.Path, nil) // from memory, normally
		if err != nil {
			r.counts.failed.Add(1)
			continue
		}
		for _, e := range l.Entries {
			stats = append(stats, Access{Op: Stat, Path: path.Join(a.Path, e.Name), Kind: Other})
		}
	}
	return stats
}

// each calls do for 0 to n-1, several at a time while nobody waits.
func (r *Replay) each(ctx context.Context, n int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for w := range min(replayFlights, n) {
		workers.Go(func() {
			for w == 0 || r.quiet(ctx, func() bool { return int(next.Load()) >= n }) {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				do(i)
			}
		})
	}
	workers.Wait()
}

// quiet returns true when nobody waits, or false as soon as there is nothing left to do.
func (r *Replay) quiet(ctx context.Context, over func() bool) bool {
	if r.Busy == nil || !r.Busy() {
		return true
	}
	poll := time.NewTicker(quietPoll)
	defer poll.Stop()
	for r.Busy() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return false
		}
		if over() {
			return false
		}
	}
	return true
}

// ask puts one question and brings a up to date; false if there is nothing to be had.
func (r *Replay) ask(ctx context.Context, a *Access) bool {
	var err error
	switch a.Op {
	case Stat:
		err = r.stat(ctx, a)
	case List:
		var l *store.Listing
		if l, err = r.Source.List(ctx, a.Path, nil); err == nil {
			a.Names = len(l.Entries)
		}
	case ReadLink:
		_, err = r.Source.ReadLink(ctx, a.Path)
	case ReadData:
		err = r.read(ctx, a)
	}
	switch {
	case err == nil:
		return true
	case ctx.Err() != nil, errors.Is(err, errNoRoom):
	case store.Errno(err) == syscall.ENOENT, store.Errno(err) == syscall.ENOTDIR:
		if a.Kind == Absent {
			return true // as it was
		}
		r.counts.gone.Add(1)
	default:
		r.counts.failed.Add(1)
	}
	return false
}

func (r *Replay) stat(ctx context.Context, a *Access) error {
	attr, err := r.Source.Stat(ctx, a.Path, store.Version{})
	if err != nil {
		return err
	}
	if a.Kind == File && a.Mtime != 0 && (a.Mtime != attr.Mtime || a.Size != attr.Size) {
		r.counts.changed.Add(1)
	}
	a.Kind, a.Size, a.Mtime = kindOf(attr), 0, 0
	if a.Kind == File {
		a.Size, a.Mtime = attr.Size, attr.Mtime
	}
	return nil
}

// errNoRoom: the budget is spent.
var errNoRoom = errors.New("no room for more file data")

// read asks for the chunks in which the range lies, of the file as it is now.
func (r *Replay) read(ctx context.Context, a *Access) error {
	attr, err := r.Source.Stat(ctx, a.Path, store.Version{})
	if err != nil {
		return err
	}
	file := store.File{Path: a.Path, Version: attr.Version()}
	if a.Size, a.To = attr.Size, min(a.To, attr.Size); !attr.IsRegular() || a.From >= a.To {
		return syscall.ENOENT // of that file only the name is left
	}
	for index := a.From / store.ChunkSize; index*store.ChunkSize < a.To; index++ {
		size := int64(file.ChunkLen(index))
		if r.spent.Add(size) > r.Budget {
			r.spent.Add(-size)
			r.counts.leftOut.Add(a.To - index*store.ChunkSize)
			a.To = index * store.ChunkSize
			break
		}
		chunk, err := r.Source.ReadChunk(ctx, file, index)
		if err != nil {
			return err
		}
		chunk.Release()
		r.counts.chunks.Add(size)
	}
	if a.From >= a.To {
		return errNoRoom
	}
	return nil
}
