package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
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

const (
	matrixNodes  = 8
	matrixFanout = 2

	shelfDirs  = 4
	shelfFiles = 5                      // in each
	shelfBulk  = 2                      // large files
	bulkSize   = 12 << 20               // bytes: more than is read ahead
	firstPart  = 1 << 20                // bytes of a large file that are read before the fault
	throttle   = 500 * time.Millisecond // for each read of the PFS, before a fault amid a file
	hang       = time.Minute            // no operation takes as long, however loaded the machine is
)

// shelf are the files that the readers of the matrix read.
type shelf struct {
	dir   string
	sizes map[string]int64 // of the small ones, by path
	paths []string
}

func bulkName(i int) string { return fmt.Sprint("bulk", i) }

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{dir: t.TempDir(), sizes: map[string]int64{}}
	for d := range shelfDirs {
		if err := os.Mkdir(filepath.Join(s.dir, fmt.Sprint("dir", d)), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range shelfFiles {
			s.add(t, fmt.Sprintf("dir%d/file%d", d, i), int64(1+3*i*i*i*4099+d*977)) // up to about 800 KiB
		}
	}
	for path := range s.sizes {
		s.paths = append(s.paths, path)
	}
	slices.Sort(s.paths)
	for i := range shelfBulk {
		s.add(t, bulkName(i), bulkSize+int64(i))
	}
	return s
}

func (s *shelf) add(t *testing.T, path string, size int64) {
	t.Helper()
	s.sizes[path] = size
	if err := os.WriteFile(filepath.Join(s.dir, path), oracle.ContentOf(path, 0).Bytes(size), 0o644); err != nil {
		t.Fatal(err)
	}
}

// patron is one reader of a shelf through one mount.
type patron struct {
	*shelf
	rank, index int
	mount       string
	began       atomic.Int64 // of the operation under way, in ns; 0: none
	ended       atomic.Bool  // its task
	took        []operation
	errs        map[syscall.Errno]int
}

type operation struct {
	what       string
	begin, end time.Time
}

// stall is the longest time that an operation took from then on, and what that was.
func (p *patron) stall(since time.Time) (longest time.Duration, what string) {
	for _, o := range p.took {
		if o.begin.Before(since) {
			o.begin = since
		}
		if took := o.end.Sub(o.begin); took > longest {
			longest, what = took, fmt.Sprintf("%s on rank %d", o.what, p.rank)
		}
	}
	return longest, what
}

// do runs one operation and notes how long it took.
func (p *patron) do(what, path string, f func() error) error {
	begin := time.Now()
	p.began.Store(begin.UnixNano())
	err := f()
	p.began.Store(0)
	p.took = append(p.took, operation{what + " " + path, begin, time.Now()})
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s %s on rank %d: %w", what, path, p.rank, err)
	}
	return err
}

// errWrong: what was read is not what is there. Nothing excuses that.
var errWrong = errors.New("WRONG")

// file reads a file; pause is called after its first part, if it has more than one.
func (p *patron) file(path string, pause func()) error {
	var f *os.File
	name := filepath.Join(p.mount, path)
	if err := p.do("open", path, func() (err error) { f, err = openUnpolled(name); return err }); err != nil {
		return err
	}
	defer f.Close()
	content, part := oracle.ContentOf(path, 0), make([]byte, 128<<10)
	for off := int64(0); ; {
		var n int
		err := p.do("read", path, func() (err error) { n, err = f.Read(part); return err })
		if at := content.Differs(part[:n], off); at >= 0 {
			return fmt.Errorf("%s on rank %d: %w byte at %d", path, p.rank, errWrong, off+int64(at))
		}
		off += int64(n)
		switch {
		case errors.Is(err, io.EOF) && off == p.sizes[path]:
			return nil
		case errors.Is(err, io.EOF) || off > p.sizes[path]:
			return fmt.Errorf("%s on rank %d: %w end at %d", path, p.rank, errWrong, off)
		case err != nil:
			return err
		}
		if off >= firstPart && pause != nil {
			pause()
			pause = nil
		}
	}
}

// openUnpolled opens a file for reading as most programs do. Those that os.Open opens are known to Go's poller,
// which has words of its own ("not pollable") for a mount that has died.
func openUnpolled(name string) (*os.File, error) {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// round looks at everything small: attributes, content, listings and what is not there.
func (p *patron) round() error {
	for i := range p.paths {
		path := p.paths[(i+p.rank*7+p.index*3)%len(p.paths)]
		var info os.FileInfo
		if err := p.do("lstat", path, func() (err error) { info, err = os.Lstat(filepath.Join(p.mount, path)); return err }); err != nil {
			return err
		}
		if info.Size() != p.sizes[path] {
			return fmt.Errorf("%s on rank %d: %w size %d", path, p.rank, errWrong, info.Size())
		}
		if err := p.file(path, nil); err != nil {
			return err
		}
	}
	for d := range shelfDirs {
		dir := fmt.Sprint("dir", d)
		var entries []os.DirEntry
		if err := p.do("readdir", dir, func() (err error) { entries, err = os.ReadDir(filepath.Join(p.mount, dir)); return err }); err != nil {
			return err
		}
		if len(entries) != shelfFiles {
			return fmt.Errorf("%s on rank %d: %w listing %v", dir, p.rank, errWrong, entries)
		}
		none := dir + "/none"
		err := p.do("lstat", none, func() error { _, err := os.Lstat(filepath.Join(p.mount, none)); return err })
		if err == nil {
			return fmt.Errorf("%s on rank %d: %w: it exists", none, p.rank, errWrong)
		}
		if !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	return nil
}

// insist does what f does until it succeeds. Only a dead mount is an excuse, for some time.
func (p *patron) insist(f func() error) error {
	for end := time.Now().Add(hang); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		var errno syscall.Errno
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errWrong) || !errors.As(err, &errno):
			return err
		case !slices.Contains(deadMount, errno) || time.Now().After(end):
			return err
		}
		p.errs[errno]++
	}
}

// deadMount is what they meet whose own daemon has died.
var deadMount = []syscall.Errno{syscall.ENOTCONN, syscall.ECONNABORTED}

// When the fault strikes.
const (
	cold    = "cold"     // nothing was ever read
	warm    = "warm"     // all was read by all
	midRead = "mid-read" // everybody waits for a part of a large file
)

// verdict is what came of a cell.
type verdict struct{ others, own time.Duration }

func (v verdict) String() string {
	return fmt.Sprintf("%.2f (%.2f)", v.others.Seconds(), v.own.Seconds())
}

// cell breaks the nodes at a place while everybody reads.
func (f *field) cell(books *shelf, kind faults.Kind, when string, where place) (v verdict) {
	t := f.t
	t.Helper()
	what := fmt.Sprintf("%s of the %s, %s", kind, where.name, when)
	f.whole()
	f.clear()
	if err := f.pfs.Changed("/"); err != nil { // or its clients would answer for it
		t.Fatal(err)
	}
	var others, own []*patron
	for rank := range f.Nodes {
		victim := slices.Contains(where.ranks, rank)
		for i := range readersPerNode {
			p := &patron{shelf: books, rank: rank, index: i, mount: f.View(rank), errs: map[syscall.Errno]int{}}
			if !victim {
				others = append(others, p)
			} else if i == 0 && kind != faults.Gone {
				own = append(own, p)
			}
		}
	}
	all := slices.Concat(others, own)
	var victims []faults.Node
	for _, rank := range where.ranks {
		victims = append(victims, f.ns[rank])
	}

	var mu sync.Mutex
	run := func(ps []*patron, lenient bool, task func(p *patron) error) func() {
		var running sync.WaitGroup
		for _, p := range ps {
			running.Go(func() {
				p.ended.Store(false)
				defer p.ended.Store(true)
				err := task(p)
				if lenient && err != nil {
					err = p.insist(p.round)
				}
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		return func() {
			done := make(chan struct{})
			go func() { running.Wait(); close(done) }()
			select {
			case <-done:
			case <-time.After(2 * hang):
				for _, p := range ps {
					if b := p.began.Load(); b != 0 && time.Since(time.Unix(0, b)) > hang {
						t.Errorf("%s: a reader on rank %d hangs", what, p.rank)
					}
				}
				t.Fatalf("%s: the readers have not ended after %v\n%s", what, 2*hang, f.logs())
			}
		}
	}
	task := (*patron).round
	if when == warm {
		run(all, false, task)()
	}
	var waitOthers, waitOwn func()
	start := func() { waitOthers, waitOwn = run(others, false, task), run(own, kind.Restarts(), task) }
	if when == midRead {
		var middle sync.WaitGroup
		middle.Add(len(all))
		stalled := make(chan struct{})
		task = func(p *patron) error {
			return p.file(bulkName((p.rank+p.index)%shelfBulk), func() { middle.Done(); <-stalled })
		}
		// Slow, so that nobody has much more than the first part by the time that all have that.
		if err := f.pfs.SetFault(slowfs.Fault{Op: slowfs.OpRead, Delay: throttle}); err != nil {
			t.Fatal(err)
		}
		defer f.pfs.ClearFaults()
		start()
		middle.Wait()
		if err := f.pfs.SetFault(slowfs.Fault{Op: slowfs.OpRead, Stall: true}); err != nil {
			t.Fatal(err)
		}
		close(stalled)
		waiting := 0
		await(t, what+": every reader to wait", func() bool {
			waiting = 0
			for _, p := range all {
				b := p.began.Load()
				switch {
				case p.ended.Load(): // its node was fast enough to have it all before
				case b == 0 || time.Since(time.Unix(0, b)) < 100*time.Millisecond:
					return false
				default:
					waiting++
				}
			}
			return true
		})
		if waiting < len(all) {
			t.Logf("%s: only %d of %d readers wait for the PFS", what, waiting, len(all))
		}
	}
	if when == cold {
		start()
	}
	struck := time.Now()
	mend, err := kind.Strike(victims...)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	f.pfs.ClearFaults()
	if when == warm {
		start()
	}
	waitOthers()
	if kind == faults.Cut || kind == faults.Slow {
		waitOwn() // they are answered all the same
	}
	if err := mend(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	waitOwn()
	longest := func(ps []*patron) (d time.Duration, at string) {
		for _, p := range ps {
			if stall, what := p.stall(struck); stall > d {
				d, at = stall, what
			}
		}
		return d, at
	}
	var at1, at2 string
	v.others, at1 = longest(others)
	v.own, at2 = longest(own)
	var met []string
	for _, p := range own {
		for errno, n := range p.errs {
			met = append(met, fmt.Sprintf("%d× %s on rank %d", n, unix.ErrnoName(errno), p.rank))
		}
	}
	t.Logf("%s: longest stall %v (%s), on broken nodes %v (%s) %s", what, v.others.Round(time.Millisecond), at1, v.own.Round(time.Millisecond), at2, strings.Join(met, ", "))
	return v
}

var whichCells = flag.String("matrix", "", "only the cells whose name contains this, as in `kill`, `root`, `cold`")

// matrix is which cells are played, over which network.
type matrix struct {
	serve  []string // arguments of the daemons
	places []string // those where it takes longest first
	// A supervisor starts a daemon again five times and no more: two jobs for each place.
	halves [][]faults.Kind
	whens  []string
}

// all is every cell.
var all = matrix{
	places: []string{"all ancestors", "root", "interior", "leaf"},
	halves: [][]faults.Kind{{faults.Kill, faults.Stop, faults.Cut}, {faults.Garbage, faults.Slow, faults.Dead}},
	whens:  []string{cold, warm, midRead},
}

// TestFaultMatrix: whichever node breaks, in whichever way and whenever, nobody on another node meets an
// error or a wrong byte, and the node's own readers none but those of a dead mount.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	all.run(t)
}

func (m matrix) run(t *testing.T) {
	var mu sync.Mutex
	verdicts := map[string]verdict{}
	t.Run("at", func(t *testing.T) {
		for _, place := range m.places {
			for h, kinds := range m.halves {
				t.Run(fmt.Sprintf("%s/%d", place, h), func(t *testing.T) {
					t.Parallel()
					books := newShelf(t)
					f := newField(t, matrixNodes, books.dir, append([]string{"-T", "1", "--fanout", fmt.Sprint(matrixFanout), "--memory", "64MiB"}, m.serve...)...)
					at := f.place(place, matrixFanout)
					var gone []int
					for _, kind := range kinds {
						for _, when := range m.whens {
							name := fmt.Sprint(at.name, " ", kind, " ", when)
							if !strings.Contains(name, *whichCells) || !kind.Suits(f.ns[0]) {
								continue
							}
							if kind == faults.Dead && when == midRead {
								// This would be one restart too many, and ends the job anyway.
								kind, gone = faults.Gone, at.ranks
							}
							v := f.cell(books, kind, when, at)
							mu.Lock()
							verdicts[name] = v
							mu.Unlock()
						}
					}
					if gone == nil {
						f.whole()
					}
					f.end(gone...)
				})
			}
		}
	})
	var table strings.Builder
	fmt.Fprintf(&table, "longest stall of one operation on whole nodes (on the broken ones), in seconds\n%-14s %-8s %14s %14s %14s\n", "", "", cold, warm, midRead)
	for _, place := range m.places {
		for _, kind := range slices.Concat(m.halves...) {
			fmt.Fprintf(&table, "%-14s %-8s", place, kind)
			for _, when := range []string{cold, warm, midRead} {
				text := "-"
				if v, ok := verdicts[fmt.Sprint(place, " ", kind, " ", when)]; ok {
					text = v.String()
				}
				fmt.Fprintf(&table, " %14s", text)
			}
			fmt.Fprintln(&table)
		}
	}
	t.Log(table.String())
}
