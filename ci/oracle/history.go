package oracle

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// History is all that the files of a changing tree have been, and all the faults that may have kept
// an answer from arriving. It judges what was read through a mount meanwhile.
//
// A state of a file exists from just before the change that makes it until just after the change that
// ends it: while a change is being made, both sides of it may be seen. A change that is not made at
// once is given as a state of several lengths, all of the same content.
//
// What Copper promises, and thus the rules:
//
//   - Bytes are those of one state, from the first to the last, neither cut short nor padded. It
//     existed at some moment between the horizon and the end of the read. The horizon is the begin of
//     the last `copper clear` that had succeeded when the read began: until then, what was once
//     learnt of a file may be kept. The same holds for attributes, and for each name that a listing
//     shows or lacks.
//   - ESTALE says that the file was changed between the horizon and the end of the read.
//   - ENOENT says that there was no such file at some moment between the begin of the read, less
//     [History.Lease], and its end.
//   - Any other errno must be explained by a [Fault] during the read that can cause it there.
//
// Answers can be under way for a while. So a fault may still be met [History.Grace] after it ended,
// and so may an absence after the lease; where faults that delay answers lie in that time, they and as
// much time before them count too.
type History struct {
	Lease time.Duration // for which "not there" may be remembered
	Grace time.Duration // for which an answer may be under way

	mu     sync.Mutex
	files  map[string][]State // in order; the last one is now
	faults []*Fault
	clears []clear
}

// State is what a file is for a while.
type State struct {
	Absent  bool
	Content Content
	Size    int64 // bytes
	// Least is the shortest length that may be seen while the file grows to Size.
	Least int64

	from, until time.Time // until is zero for what is now
}

func (s State) String() string {
	switch {
	case s.Absent:
		return "absent"
	case s.Least < s.Size:
		return fmt.Sprintf("%d to %d bytes of %x", s.Least, s.Size, s.Content.seed)
	}
	return fmt.Sprintf("%d bytes of %x", s.Size, s.Content.seed)
}

// Fault is something that may keep an answer from arriving.
type Fault struct {
	What   string          // for the reader of a verdict
	Node   int             // rank whose readers may meet Errnos; -1: all
	Prefix string          // what it concerns, with all below; "" for everything
	Errnos []syscall.Errno // that may be met
	Delays bool            // answers

	span
}

// clear is a `copper clear` that succeeded.
type clear struct {
	prefix string
	span
}

// span is a stretch of time; until is zero while it lasts.
type span struct{ from, until time.Time }

// meets tells whether s and the time from a to b have a moment in common.
func (s span) meets(a, b time.Time) bool {
	return !s.from.After(b) && (s.until.IsZero() || !s.until.Before(a))
}

// Change makes a change to a file and notes what it is from then on. Where the change takes time,
// meanwhile is what may be seen until it is done.
func (h *History) Change(file string, meanwhile *State, next State, change func() error) error {
	begin := time.Now()
	seen := next
	if meanwhile != nil {
		seen = *meanwhile
	} else {
		seen.Least = seen.Size
	}
	seen.from = begin
	h.mu.Lock()
	if h.files == nil {
		h.files = map[string][]State{}
	}
	if len(h.files[file]) == 0 {
		h.files[file] = []State{{Absent: true}}
	}
	h.files[file] = append(h.files[file], seen)
	h.mu.Unlock()
	err := change()
	h.mu.Lock()
	defer h.mu.Unlock()
	states, now := h.files[file], time.Now()
	states[len(states)-2].until = now
	if meanwhile != nil {
		states[len(states)-1].until = now
		next.Least, next.from = next.Size, begin
		h.files[file] = append(states, next)
	}
	return err
}

// Now is what the file is now; absent if it never was.
func (h *History) Now(file string) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	states := h.files[file]
	if len(states) == 0 {
		return State{Absent: true}
	}
	return states[len(states)-1]
}

// Begin notes that a fault begins; the function that it returns, that it has ended.
func (h *History) Begin(f Fault) (end func()) {
	f.span = span{from: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &f)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		f.until = time.Now()
	}
}

// Cleared notes that a clear of prefix ("" for all) which began at that time has now succeeded
// everywhere. It tells whether that counts: not if some fault may have kept a node from forgetting.
func (h *History) Cleared(prefix string, began time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for _, f := range h.faults {
		if f.meets(began, now) {
			return false
		}
	}
	h.clears = append(h.clears, clear{prefix, span{began, now}})
	return true
}

// Read is one read, listing or look at the attributes, as a reader saw it.
type Read struct {
	Node       int
	File       string // path within the tree
	Begin, End time.Time
}

// Bytes judges what a read of a whole file gave.
func (h *History) Bytes(r Read, data []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	differs := 0
	for _, s := range h.seen(r) {
		if s.Absent {
			continue
		}
		at := s.Content.Differs(data, 0)
		if at < 0 && s.holds(int64(len(data))) {
			return nil
		}
		differs = max(differs, at)
	}
	return h.wrong(r, "%d bytes, the first %d of which are right", len(data), differs)
}

// Piece is what one read at an offset of an open file gave.
type Piece struct {
	Off  int64
	Data []byte
	End  bool // of the file, after Data
}

// Pieces judges what reads at offsets of one open file gave. They must all be of the same state.
func (h *History) Pieces(r Read, pieces []Piece) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.seen(r) {
		if !slices.ContainsFunc(pieces, func(p Piece) bool { return !s.shows(p) }) {
			return nil
		}
	}
	var b strings.Builder
	for _, p := range pieces {
		fmt.Fprintf(&b, "%d bytes at %d (end: %v), ", len(p.Data), p.Off, p.End)
	}
	return h.wrong(r, "%swhich are of no one state", b.String())
}

func (s State) shows(p Piece) bool {
	end := p.Off + int64(len(p.Data))
	switch {
	case s.Absent || s.Content.Differs(p.Data, p.Off) >= 0:
		return false
	case p.End && len(p.Data) == 0:
		return s.Least <= p.Off
	case p.End:
		return s.holds(end)
	}
	return end <= s.Size
}

// Size judges the length of a file.
func (h *History) Size(r Read, size int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.seen(r) {
		if !s.Absent && s.holds(size) {
			return nil
		}
	}
	return h.wrong(r, "its size is %d", size)
}

func (s State) holds(size int64) bool { return s.Least <= size && size <= s.Size }

// Names judges the listing of r.File, a directory.
func (h *History) Names(r Read, names []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for file := range h.files {
		if path.Dir(file) != r.File {
			continue
		}
		listed := slices.Contains(names, path.Base(file))
		of := r
		of.File = file
		if !slices.ContainsFunc(h.seen(of), func(s State) bool { return s.Absent != listed }) {
			errs = append(errs, h.wrong(of, "listed: %v", listed))
		}
	}
	for _, name := range names {
		if file := path.Join(r.File, name); len(h.files[file]) == 0 {
			errs = append(errs, fmt.Errorf("%s: listed, and never was", file))
		}
	}
	return errors.Join(errs...)
}

// Errno judges a failure.
func (h *History) Errno(r Read, errno syscall.Errno) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch errno {
	case syscall.ENOENT:
		since := h.earlier(r.Begin, h.Lease)
		for _, s := range h.states(r.File) {
			if s.Absent && s.span().meets(since, r.End) {
				return nil
			}
		}
	case syscall.ESTALE:
		if len(h.seen(r)) > 1 {
			return nil
		}
	}
	since := h.earlier(r.Begin, 0)
	for _, f := range h.faults {
		if below(r.File, f.Prefix) && (f.Node < 0 || f.Node == r.Node) && slices.Contains(f.Errnos, errno) && f.meets(since, r.End) {
			return nil
		}
	}
	return h.wrong(r, "%v", errno)
}

func below(file, prefix string) bool {
	return prefix == "" || file == prefix || strings.HasPrefix(file, prefix+"/")
}

// earlier is the begin of the time from which an answer may stem that is at most d old when it is
// given, at begin. An answer may be under way for as long as faults that overlap last.
func (h *History) earlier(begin time.Time, d time.Duration) time.Time {
	d += h.Grace
	reach := span{from: begin.Add(-d), until: begin}
	since := reach.from
	for again := true; again; {
		again = false
		for _, f := range h.faults {
			if f.Delays && f.meets(reach.from, begin) && f.from.Before(reach.from) {
				reach.from, again = f.from, true
				since = f.from.Add(-d)
			}
		}
	}
	return since
}

// states are all states of a file, of which the first was before anything began.
func (h *History) states(file string) []State {
	if states := h.files[file]; len(states) > 0 {
		return states
	}
	return []State{{Absent: true}}
}

func (s State) span() span { return span{s.from, s.until} }

// seen are the states that a read may have met.
func (h *History) seen(r Read) []State {
	horizon := h.horizon(r)
	var seen []State
	for _, s := range h.states(r.File) {
		if s.span().meets(horizon, r.End) {
			seen = append(seen, s)
		}
	}
	return seen
}

func (h *History) horizon(r Read) (horizon time.Time) {
	for _, c := range h.clears {
		if c.until.Before(r.Begin) && below(r.File, c.prefix) {
			horizon = c.from
		}
	}
	return horizon
}

// wrong is the verdict on a read that nothing explains, with what the file was lately and what was
// wrong then.
func (h *History) wrong(r Read, format string, args ...any) error {
	var b strings.Builder
	before := func(t time.Time) time.Duration { return r.Begin.Sub(t).Round(time.Millisecond) }
	fmt.Fprintf(&b, "%s on node %d: %s; the read took %v", r.File, r.Node, fmt.Sprintf(format, args...), r.End.Sub(r.Begin).Round(time.Millisecond))
	if horizon := h.horizon(r); !horizon.IsZero() {
		fmt.Fprintf(&b, ", the last clear began %v before", before(horizon))
	}
	lately := h.earlier(r.Begin, h.Lease)
	for _, s := range h.states(r.File) {
		if s.span().meets(lately, r.End) {
			fmt.Fprintf(&b, "; from %v before: %v", before(s.from), s)
		}
	}
	for _, f := range h.faults {
		if f.meets(lately, r.End) {
			fmt.Fprintf(&b, "; %s from %v before", f.What, before(f.from))
			if !f.until.IsZero() {
				fmt.Fprintf(&b, " to %v before", before(f.until))
			}
		}
	}
	return errors.New(b.String())
}
