package e2e

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/ci/faults"
	"github.com/copper-hpc/copper/ci/oracle"
	"github.com/copper-hpc/copper/ci/slowfs"
)

var (
	soakFor  = flag.Duration("soak", time.Minute, "how long TestSoak lasts")
	soakSeed = flag.Uint64("soak.seed", 0, "seed of TestSoak; 0: a new one, which it prints")
)

const (
	soakNodes  = 7
	soakDirs   = 4
	soakNames  = 12      // in each
	soakMemory = "32MiB" // of a daemon: the least that it takes
	soakLease  = time.Second
	soakLarge  = 5 << 20                // bytes of the largest file
	restarts   = 4                      // of a daemon within ten minutes: one less than its supervisor allows
	mostWrong  = 20                     // wrong answers, after which there is no need for more
	beforeNext = 100 * time.Millisecond // between two changes of one file: more than a file system's clock takes for a tick
)

// soak lets several actors loose on a field: one changes files, one troubles the PFS, one breaks
// nodes and clears, readers read. What an actor decides follows from the seed, when it gets to it
// does not.
type soak struct {
	*field
	seed    uint64
	history *oracle.History
	paths   []string // of files, in the view
	began   time.Time
	stop    chan struct{}

	weather sync.Mutex // held while something is wrong with the PFS

	mu     sync.Mutex
	events []string
	wrong  int

	reads  atomic.Int64
	met    map[string]int // failures that were as they may be, by errno
	clears int            // that counted
	broke  map[faults.Kind]int
}

func (s *soak) random(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, actor)) }

// event notes what was done.
func (s *soak) event(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf("%8.3f ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// judge notes a wrong answer.
func (s *soak) judge(err error) {
	if err == nil {
		return
	}
	s.event("WRONG %v", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong++; s.wrong <= mostWrong {
		s.t.Error(err)
	}
}

// rest lets an actor wait for d. It tells whether the soak has ended, which ends the rest too.
func (s *soak) rest(d time.Duration) (ended bool) {
	select {
	case <-s.stop:
		return true
	case <-time.After(d):
		return false
	}
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// TestSoak: whatever happens, no answer is wrong, and in the end everything is as it should be.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := &soak{seed: *soakSeed, history: &oracle.History{Lease: soakLease, Grace: 3 * time.Second}, began: time.Now(), stop: make(chan struct{}),
		met: map[string]int{}, broke: map[faults.Kind]int{}}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	t.Logf("again with: -soak.seed=%d -soak=%v", s.seed, *soakFor)
	backing := t.TempDir()
	for d := range soakDirs {
		if err := os.Mkdir(filepath.Join(backing, fmt.Sprint("dir", d)), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range soakNames {
			s.paths = append(s.paths, fmt.Sprintf("/dir%d/file%d", d, i))
		}
	}
	changer := &changer{soak: s, random: s.random(1), backing: backing, versions: map[string]int{}, last: map[string]time.Time{}}
	for range 2 * len(s.paths) {
		changer.change()
	}
	s.field = newField(t, soakNodes, backing, "-T", fmt.Sprint(1+s.random(0).IntN(3)), "--fanout", "2", "--memory", soakMemory, "-E", fmt.Sprint(soakLease.Milliseconds()))
	s.began = time.Now()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened (seed %d):\n%s\n%s", s.seed, strings.Join(s.events, "\n"), s.logs())
		}
	})

	var actors, readers sync.WaitGroup
	actors.Go(changer.run)
	actors.Go(s.trouble)
	for rank := range s.Nodes {
		for i := range readersPerNode {
			readers.Go(func() { s.read(rank, s.random(uint64(1000+10*rank+i))) })
		}
	}
	enough := sync.OnceFunc(func() { close(s.stop) })
	defer time.AfterFunc(*soakFor, enough).Stop()
	ended := make(chan struct{})
	go func() { actors.Wait(); readers.Wait(); close(ended) }()
	t.Cleanup(func() { // before the field goes, also if the test is ended early
		enough()
		select {
		case <-ended:
		case <-time.After(2 * hang):
		}
	})
	s.breakNodes() // here, because it may end the test
	enough()
	select {
	case <-ended:
	case <-time.After(2 * hang):
		t.Fatal("a reader hangs")
	}

	s.whole()
	s.clear()
	for rank := range s.Nodes {
		differences, compared, err := oracle.Compare(s.View(rank), backing)
		if err != nil || compared <= soakDirs {
			t.Errorf("rank %d: %d names compared: %v", rank, compared, err)
		}
		for _, d := range differences {
			t.Errorf("rank %d, in the end: %s", rank, d)
		}
	}
	s.budgets(nil)
	var evictions, failovers int64
	for _, n := range s.status(nil) {
		evictions += n.Evictions
		failovers += n.Failovers
	}
	s.end()
	t.Logf("%d evictions and %d failovers since the last restarts", evictions, failovers)
	t.Logf("%d reads, %d wrong; %d events, %d clears that counted; nodes broken: %v; errors met where they may be: %v",
		s.reads.Load(), s.wrong, len(s.events), s.clears, s.broke, s.met)
}

// budgets checks that no daemon has used more memory than it may.
func (s *soak) budgets(but []int) {
	s.t.Helper()
	for _, n := range s.status(but) {
		if n.Memory.Peak > n.Memory.Limit {
			s.t.Errorf("rank %d used %d bytes of %d", n.Rank, n.Memory.Peak, n.Memory.Limit)
		}
	}
}

// changer changes the files behind.
type changer struct {
	*soak
	random   *rand.Rand
	backing  string
	versions map[string]int
	last     map[string]time.Time
}

func (c *changer) run() {
	for !c.rest(between(c.random, 20*time.Millisecond, 300*time.Millisecond)) {
		c.change()
	}
}

// size is mostly small.
func (c *changer) size() int64 {
	most := []int64{1, 5000, 100_000, 400_000, soakLarge, soakLarge}[c.random.IntN(6)]
	return c.random.Int64N(most + 1)
}

// change changes one file in one of many ways.
func (c *changer) change() {
	path := c.paths[c.random.IntN(len(c.paths))]
	way, size := c.random.IntN(10), c.size()
	time.Sleep(time.Until(c.last[path].Add(beforeNext)))
	defer func() { c.last[path] = time.Now() }()
	name, now := filepath.Join(c.backing, path), c.history.Now(path)
	next := func() oracle.State {
		c.versions[path]++
		return oracle.State{Content: oracle.ContentOf(path, c.versions[path]), Size: size}
	}
	var err error
	switch {
	case now.Absent || way < 3: // made, or replaced at once
		s, temporary := next(), filepath.Join(c.backing, "new")
		if err = os.WriteFile(temporary, s.Content.Bytes(s.Size), 0o644); err == nil {
			err = c.history.Change(path, nil, s, func() error { return os.Rename(temporary, name) })
		}
		c.event("replaced %s: %d bytes, version %d", path, s.Size, c.versions[path])
	case way < 5: // written anew in place: empty first, then longer and longer
		s := next()
		meanwhile := s
		err = c.history.Change(path, &meanwhile, s, func() error { return os.WriteFile(name, s.Content.Bytes(s.Size), 0o644) })
		c.event("rewrote %s: %d bytes, version %d", path, s.Size, c.versions[path])
	case way < 6: // grown
		s := now
		s.Size += 1 + size
		meanwhile := s
		meanwhile.Least = now.Size
		err = c.history.Change(path, &meanwhile, s, func() error {
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.Write(s.Content.Bytes(s.Size)[now.Size:])
			return errors.Join(err, f.Close())
		})
		c.event("grew %s: from %d to %d bytes", path, now.Size, s.Size)
	case way < 8 && now.Size > 0: // cut short
		s := now
		s.Size = c.random.Int64N(now.Size)
		err = c.history.Change(path, nil, s, func() error { return os.Truncate(name, s.Size) })
		c.event("shrank %s: from %d to %d bytes", path, now.Size, s.Size)
	default:
		err = c.history.Change(path, nil, oracle.State{Absent: true}, func() error { return os.Remove(name) })
		c.event("removed %s", path)
	}
	if err != nil {
		c.judge(fmt.Errorf("behind the mount: %w", err))
	}
}

// trouble makes the PFS fail, stall and be slow, now and then.
func (s *soak) trouble() {
	r := s.random(2)
	for !s.rest(between(r, 500*time.Millisecond, 3*time.Second)) {
		f := slowfs.Fault{Prefix: s.paths[r.IntN(len(s.paths))]}
		if r.IntN(2) == 0 {
			f.Prefix = filepath.Dir(f.Prefix)
		}
		o := oracle.Fault{Node: -1, Prefix: f.Prefix}
		switch r.IntN(4) {
		case 0:
			f.Stall = true
		case 1:
			f.Delay = between(r, 10*time.Millisecond, 200*time.Millisecond)
		default:
			f.Errno = []syscall.Errno{syscall.EIO, syscall.EACCES, syscall.ETIMEDOUT}[r.IntN(3)]
			f.Op = []slowfs.Op{"", slowfs.OpRead, slowfs.OpLookup, slowfs.OpOpen}[r.IntN(4)]
			o.Errnos = []syscall.Errno{f.Errno}
		}
		lasts := between(r, 200*time.Millisecond, 2*time.Second)
		o.What = fmt.Sprintf("PFS %+v", f)
		s.weather.Lock()
		end := s.history.Begin(o)
		if err := s.pfs.SetFault(f); err != nil {
			s.judge(err)
		}
		s.event("%s for %v", o.What, lasts)
		s.rest(lasts)
		s.pfs.ClearFaults()
		end()
		s.event("PFS well again")
		s.weather.Unlock()
	}
}

// breakNodes breaks nodes one to three at a time, mends them, and clears: sometimes amid all that,
// sometimes when all is well, so that it must count.
func (s *soak) breakNodes() {
	r := s.random(3)
	restarted := make([]int, s.Nodes)
	limits := s.began
	for !s.rest(between(r, 50*time.Millisecond, time.Second)) {
		if time.Since(limits) > 10*time.Minute {
			limits, restarted = time.Now(), make([]int, s.Nodes)
		}
		if r.IntN(3) == 0 {
			s.weather.Lock()
			s.clearNow(r, nil)
			s.weather.Unlock()
			continue
		}
		var broken []int
		var mends []func() error
		var ends []func()
		for _, rank := range r.Perm(s.Nodes)[:1+r.IntN(3)] {
			kind := soakKinds[r.IntN(len(soakKinds))]
			n := s.ns[rank]
			if !kind.Suits(n) || kind.Restarts() && restarted[rank] == restarts {
				continue
			}
			if kind.Restarts() {
				restarted[rank]++
			}
			o := oracle.Fault{What: fmt.Sprintf("%s of rank %d", kind, rank), Node: rank, Delays: !kind.Restarts()}
			if kind.Restarts() {
				o.Errnos = deadMount
			}
			s.event("%s", o.What)
			s.broke[kind]++
			end := s.history.Begin(o)
			mend, err := kind.Strike(n)
			if err != nil {
				s.t.Errorf("%s: %v", o.What, err)
				return
			}
			broken, mends, ends = append(broken, rank), append(mends, mend), append(ends, end)
		}
		s.rest(between(r, 100*time.Millisecond, 6*time.Second))
		switch r.IntN(4) {
		case 0:
			s.clearNow(r, broken)
		case 1:
			s.budgets(broken)
		}
		for _, mend := range mends {
			if err := mend(); err != nil {
				s.t.Errorf("mending: %v", err)
				return
			}
		}
		s.answering()
		for _, end := range ends {
			end()
		}
		s.event("all nodes answer")
	}
}

var soakKinds = []faults.Kind{faults.Kill, faults.Dead, faults.Garbage, faults.Stop, faults.Slow, faults.Cut}

// clearNow clears on a node that is not broken. It must succeed if none is.
func (s *soak) clearNow(r *rand.Rand, broken []int) {
	prefix := "" // for all
	switch r.IntN(4) {
	case 0:
		prefix = s.paths[r.IntN(len(s.paths))]
	case 1:
		prefix = filepath.Dir(s.paths[r.IntN(len(s.paths))])
	}
	s.askOn(broken)
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	_, err := s.Run(ctx, "clear", cmp.Or(prefix, "/"))
	switch {
	case err != nil && len(broken) == 0:
		s.judge(err)
	case err != nil:
		s.event("clear failed: %v", err)
	default:
		counts := s.history.Cleared(prefix, began)
		if counts {
			s.clears++
		}
		s.event("cleared %s in %v; it counts: %v", cmp.Or(prefix, "/"), time.Since(began), counts)
	}
}

// read reads in many ways through one mount.
func (s *soak) read(rank int, r *rand.Rand) {
	mount := s.View(rank)
	for !s.rest(between(r, 0, 60*time.Millisecond)) {
		path := s.paths[r.IntN(len(s.paths))]
		l := look{soak: s, Read: oracle.Read{Node: rank, File: path, Begin: time.Now()}, name: filepath.Join(mount, path)}
		var verdict, err error
		switch r.IntN(8) {
		case 0:
			verdict, err = l.size()
		case 1:
			l.File, l.name = filepath.Dir(l.File), filepath.Dir(l.name)
			verdict, err = l.names()
		case 2:
			l.File, l.name = l.File+".none", l.name+".none"
			verdict, err = l.size()
		case 3:
			verdict, err = l.pieces(r)
		default:
			verdict, err = l.whole(1+r.IntN(512<<10), r.IntN(2) == 0)
		}
		s.reads.Add(1)
		var errno syscall.Errno
		if errors.As(err, &errno) {
			s.mu.Lock()
			s.met[unix.ErrnoName(errno)]++
			s.mu.Unlock()
			l.End = time.Now()
			verdict = s.history.Errno(l.Read, errno)
		}
		s.judge(verdict)
		if took := time.Since(l.Begin); took > hang {
			s.judge(fmt.Errorf("%s on rank %d: took %v", l.File, rank, took))
		}
	}
}

// look is one look at a file or directory. Its methods return a verdict on what they saw, or why they
// saw nothing.
type look struct {
	*soak
	oracle.Read
	name string // in the mount
}

func (l *look) size() (verdict, err error) {
	info, err := os.Lstat(l.name)
	if err != nil {
		return nil, err
	}
	l.End = time.Now()
	return l.history.Size(l.Read, info.Size()), nil
}

func (l *look) names() (verdict, err error) {
	entries, err := os.ReadDir(l.name)
	if err != nil {
		return nil, err
	}
	l.End = time.Now()
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return l.history.Names(l.Read, names), nil
}

// whole reads a file from front to back, in parts of that many bytes, and may let the kernel forget it.
func (l *look) whole(part int, forget bool) (verdict, err error) {
	f, err := openUnpolled(l.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var data []byte
	for {
		data = slices.Grow(data, part)
		n, err := f.Read(data[len(data) : len(data)+part])
		data = data[:len(data)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	l.End = time.Now()
	if forget {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	return l.history.Bytes(l.Read, data), nil
}

// pieces reads some places of an open file, with pauses in which the file may change.
func (l *look) pieces(r *rand.Rand) (verdict, err error) {
	f, err := openUnpolled(l.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var pieces []oracle.Piece
	for range 1 + r.IntN(4) {
		data := make([]byte, 1+r.IntN(200<<10))
		off := r.Int64N(info.Size() + 10)
		n, err := f.ReadAt(data, off)
		if err != nil && err != io.EOF {
			return nil, err
		}
		pieces = append(pieces, oracle.Piece{Off: off, Data: data[:n], End: err == io.EOF})
		time.Sleep(between(r, 0, 300*time.Millisecond))
	}
	l.End = time.Now()
	return l.history.Pieces(l.Read, pieces), nil
}
