package store

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	openLimit = 128              // files held open while nobody reads them
	openIdle  = 30 * time.Second // how long, since an open file keeps a deleted one alive
)

// openFiles keeps files of several chunks open between their chunks. A file that was opened serves the version that it
// had then: clients of network file systems promise what was written before only to those who open the file after. In
// a page cache that was filled before, parts of the earlier version may be left, or be on their way.
type openFiles struct {
	mu    sync.Mutex
	files map[string]*openFile
	idle  *list.List // of *openFile with no users, the one to close next first
	timer *time.Timer
}

type openFile struct {
	path    string
	version Version
	fd      int
	users   int
	// current: this is the file that the table holds for path. One that was replaced is closed
	// by its last user.
	current bool
	since   time.Time
	element *list.Element
}

func newOpenFiles() *openFiles {
	return &openFiles{files: map[string]*openFile{}, idle: list.New()}
}

// get returns the open file and counts its user, or nil.
func (t *openFiles) get(file File) *openFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[file.Path]
	if f == nil || f.version != file.Version {
		return nil
	}
	t.use(f)
	return f
}

func (t *openFiles) use(f *openFile) {
	f.users++
	if f.element != nil {
		t.idle.Remove(f.element)
		f.element = nil
	}
}

// add takes over fd as the open file, with one user.
func (t *openFiles) add(file File, fd int) *openFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retire(t.files[file.Path])
	f := &openFile{path: file.Path, version: file.Version, fd: fd, users: 1, current: true}
	t.files[file.Path] = f
	return f
}

// drop takes f out of the table; its users finish with it.
func (t *openFiles) drop(f *openFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.current {
		t.retire(f)
	}
}

// put ends one use of f.
func (t *openFiles) put(f *openFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.users--
	if f.users > 0 {
		return
	}
	if !f.current {
		_ = unix.Close(f.fd) // opened read-only: nothing can be lost
		return
	}
	f.since = time.Now()
	f.element = t.idle.PushBack(f)
	if t.idle.Len() > openLimit {
		t.retire(t.idle.Front().Value.(*openFile))
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(openIdle, t.sweep)
	}
}

// retire removes f from the table and closes it if nobody uses it. Called with mu.
func (t *openFiles) retire(f *openFile) {
	if f == nil {
		return
	}
	f.current = false
	delete(t.files, f.path)
	if f.element != nil {
		t.idle.Remove(f.element)
		f.element = nil
		_ = unix.Close(f.fd)
	}
}

// sweep closes what has been idle for long and comes again while something is idle.
func (t *openFiles) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = nil
	for e := t.idle.Front(); e != nil; e = t.idle.Front() {
		f := e.Value.(*openFile)
		if left := openIdle - time.Since(f.since); left > 0 {
			t.timer = time.AfterFunc(left, t.sweep)
			return
		}
		t.retire(f)
	}
}

func (t *openFiles) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
	var errs []error
	for _, f := range t.files {
		if f.users > 0 {
			errs = append(errs, errors.New(f.path+": still being read"))
		}
		t.retire(f)
	}
	return errors.Join(errs...)
}
