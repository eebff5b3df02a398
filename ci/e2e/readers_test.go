package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// library is a directory of files with known content, larger than the smallest budget of a daemon,
// so that there is always something that a node has to ask of another.
type library struct {
	dir  string
	sums [][sha256.Size]byte
}

const (
	libraryFiles = 48
	libraryFile  = 2 << 20 // bytes
)

// smallest makes daemons that can't keep the whole library.
var smallest = []string{"--memory", "32MiB"}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{dir: t.TempDir()}
	random := rand.NewChaCha8([32]byte{4})
	content := make([]byte, libraryFile)
	for i := range libraryFiles {
		_, _ = random.Read(content) // never fails
		l.sums = append(l.sums, sha256.Sum256(content))
		if err := os.WriteFile(filepath.Join(l.dir, l.name(i)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *library) name(i int) string { return fmt.Sprintf("file%02d", i) }

// read compares a file of the library below mount, and leaves nothing of it in the page cache, so
// that the next one asks the daemon again. stall is the longest time that any call took.
func (l *library) read(mount string, i int) (stall time.Duration, err error) {
	timed := func(f func() error) error {
		began := time.Now()
		err := f()
		stall = max(stall, time.Since(began))
		return err
	}
	path := filepath.Join(mount, l.name(i))
	var file *os.File
	if err := timed(func() (err error) { file, err = os.Open(path); return err }); err != nil {
		return stall, err
	}
	defer file.Close()
	hash, part := sha256.New(), make([]byte, 256<<10)
	for n := 0; ; {
		err := timed(func() (err error) { n, err = file.Read(part); return err })
		hash.Write(part[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return stall, err
		}
	}
	if !bytes.Equal(hash.Sum(nil), l.sums[i][:]) {
		return stall, fmt.Errorf("%s: WRONG BYTES", path)
	}
	err = timed(func() error {
		_, err := os.Lstat(path + ".none")
		return err
	})
	if !errors.Is(err, os.ErrNotExist) {
		return stall, fmt.Errorf("a file that does not exist: %w", err)
	}
	return stall, unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// readers read the library through several mounts until they are stopped.
type readers struct {
	t       *testing.T
	each    []*reader
	stop    chan struct{}
	running sync.WaitGroup
}

type reader struct {
	mount string
	files atomic.Int64 // read so far

	stall time.Duration // the longest
	errs  []error
}

const readersPerNode = 2

// readAll starts readers on the given mounts.
func (l *library) readAll(t *testing.T, mounts ...string) *readers {
	rs := &readers{t: t, stop: make(chan struct{})}
	for _, mount := range mounts {
		for range readersPerNode {
			r := &reader{mount: mount}
			rs.each = append(rs.each, r)
			rs.running.Go(func() {
				for {
					select {
					case <-rs.stop:
						return
					default:
					}
					stall, err := l.read(r.mount, rand.IntN(libraryFiles))
					r.stall = max(r.stall, stall)
					if err != nil {
						r.errs = append(r.errs, err)
					}
					r.files.Add(1)
				}
			})
		}
	}
	t.Cleanup(rs.end)
	return rs
}

// progress waits until every reader has read n files more.
func (rs *readers) progress(what string, n int64) {
	rs.t.Helper()
	var goals []int64
	for _, r := range rs.each {
		goals = append(goals, r.files.Load()+n)
	}
	await(rs.t, "the readers to read on "+what, func() bool {
		for i, r := range rs.each {
			if r.files.Load() < goals[i] {
				return false
			}
		}
		return true
	})
}

// end may be called twice.
func (rs *readers) end() {
	select {
	case <-rs.stop:
	default:
		close(rs.stop)
	}
	rs.running.Wait()
}

// faultless stops the readers, who must have met neither error nor wrong byte, and tells how long
// the longest of their calls took.
func (rs *readers) faultless(what string) {
	rs.t.Helper()
	rs.end()
	var files int64
	var stall time.Duration
	for _, r := range rs.each {
		files += r.files.Load()
		stall = max(stall, r.stall)
		for _, err := range r.errs {
			rs.t.Errorf("%s: %s: %v", what, r.mount, err)
		}
	}
	rs.t.Logf("%s: %d readers on other nodes read %d files, longest stall %v", what, len(rs.each), files, stall.Round(time.Millisecond))
}
