package fuse

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// maxAbsentInRoot bounds the names that are remembered as absent from the root.
const maxAbsentInRoot = 1024

// notice asks the kernel to forget: the entry name of the directory inode, or, where name is "",
// the attributes and pages of inode.
type notice struct {
	inode uint64
	name  string
}

// notifier tells the kernel what it must forget, always in goroutines of its own: a notification
// waits for the locks of its inode, which the kernel may hold until a request has been answered
// (see the package comment). What concerns one inode goes out in one goroutine, so an inode that
// is locked for long delays no other and holds one thread.
type notifier struct {
	log    *slog.Logger
	kernel interface { // set before the first request
		EntryNotify(parent uint64, name string) gofuse.Status
		InodeNotify(node uint64, off, length int64) gofuse.Status
		InodeNotifyStoreCache(node uint64, off int64, data []byte) gofuse.Status
	}

	mu      sync.Mutex
	queues  map[uint64]map[notice]chan struct{} // by lane; the lane's goroutine runs while there is one
	idle    chan struct{}                       // closed while queues is empty
	closed  bool
	absents map[string]time.Time // until when the kernel may remember a name as absent from the root
}

func newNotifier(log *slog.Logger) *notifier {
	idle := make(chan struct{})
	close(idle)
	return &notifier{
		log:     log,
		queues:  make(map[uint64]map[notice]chan struct{}),
		idle:    idle,
		absents: make(map[string]time.Time),
	}
}

// entry drops a name, with everything below it, and returns a channel that is closed once the
// kernel has.
func (n *notifier) entry(parent uint64, name string) <-chan struct{} {
	return n.post(parent, notice{inode: parent, name: name})
}

// inode drops the attributes and the pages of an inode; those of a directory are its listing.
func (n *notifier) inode(inode uint64) <-chan struct{} {
	return n.post(inode, notice{inode: inode})
}

// post queues a notice in a lane.
func (n *notifier) post(lane uint64, what notice) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		done := make(chan struct{})
		close(done)
		return done
	}
	queue, running := n.queues[lane]
	if !running {
		if len(n.queues) == 0 {
			n.idle = make(chan struct{})
		}
		queue = make(map[notice]chan struct{})
		n.queues[lane] = queue
		go n.run(lane)
	}
	done, queued := queue[what]
	if !queued {
		done = make(chan struct{})
		queue[what] = done
	}
	return done
}

func (n *notifier) run(lane uint64) {
	for {
		n.mu.Lock()
		queue := n.queues[lane]
		if len(queue) == 0 {
			delete(n.queues, lane)
			if len(n.queues) == 0 {
				close(n.idle)
			}
			n.mu.Unlock()
			return
		}
		n.queues[lane] = make(map[notice]chan struct{})
		n.mu.Unlock()
		for what, done := range queue {
			n.send(what)
			close(done)
		}
	}
}

func (n *notifier) send(what notice) {
	var answer gofuse.Status
	if what.name != "" {
		answer = n.kernel.EntryNotify(what.inode, what.name)
	} else {
		answer = n.kernel.InodeNotify(what.inode, 0, 0)
	}
	// ENOENT: the kernel had forgotten by itself.
	if answer != gofuse.OK && answer != gofuse.ENOENT {
		n.log.Debug("kernel notification failed", "inode", what.inode, "name", what.name, "err", answer.String())
	}
}

// absentInRoot remembers that the kernel was told that the root has no such name, and tells
// whether it could. Elsewhere a negative entry goes when its directory does; the root never goes.
func (n *notifier) absentInRoot(name string, expires time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.absents) >= maxAbsentInRoot {
		now := time.Now()
		maps.DeleteFunc(n.absents, func(_ string, expires time.Time) bool { return expires.Before(now) })
	}
	if len(n.absents) >= maxAbsentInRoot {
		return false
	}
	n.absents[name] = expires
	return true
}

func (n *notifier) takeAbsents() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := slices.Collect(maps.Keys(n.absents))
	clear(n.absents)
	return names
}

// wait returns when everything that was posted has been delivered, or when ctx is done.
func (n *notifier) wait(ctx context.Context) error {
	n.mu.Lock()
	idle := n.idle
	n.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the notifier once what was posted is delivered; later notices are dropped.
func (n *notifier) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	_ = n.wait(context.Background())
}

// pagesLane carries the pages of all files when everything changed: one by one, because there
// may be many.
const pagesLane = 0

// Changed makes the kernel ask again for path and, where it is a directory, for everything below
// it. It returns at once and may be called from anywhere, a Source that is answering the kernel
// included; see [Mount.Flush]. Pages of a file stay, since they belong to a version.
func (m *Mount) Changed(path string) {
	m.fs.changes.Add(1)
	n := m.fs.nodes.current(path)
	if n != nil && (path == "/" || n.attr.IsDir()) {
		m.fs.notifier.inode(n.id)
	}
	if path == "/" {
		m.dropAbsents()
		return
	}
	dir, name := split(path)
	if parent := m.fs.nodes.current(dir); parent != nil {
		m.fs.notifier.entry(parent.id, name)
	}
}

// ChangedAll is ChangedBelow of "/".
func (m *Mount) ChangedAll() { m.ChangedBelow("/") }

// ChangedBelow makes the kernel forget everything that it knows of prefix and below it, pages
// included, those of open files too. It returns at once; see [Mount.Flush].
func (m *Mount) ChangedBelow(prefix string) {
	m.Changed(prefix) // it may be known as absent
	for _, n := range m.fs.nodes.all() {
		if prefix != "/" && n.path != prefix && !strings.HasPrefix(n.path, prefix+"/") {
			continue
		}
		n.pushed.Store(false)
		lane := uint64(pagesLane)
		if n.id == gofuse.FUSE_ROOT_ID || n.attr.IsDir() {
			lane = n.id
		}
		m.fs.notifier.post(lane, notice{inode: n.id})
		if dir, name := split(n.path); name != "" {
			if parent := m.fs.nodes.current(dir); parent != nil {
				m.fs.notifier.entry(parent.id, name)
			}
		}
	}
}

func (m *Mount) dropAbsents() {
	for _, name := range m.fs.notifier.takeAbsents() {
		m.fs.notifier.entry(gofuse.FUSE_ROOT_ID, name)
	}
}

// Flush waits until the kernel has forgotten what [Mount.Changed] and [Mount.ChangedAll] told
// before, or until ctx is done. A directory in which a request is unanswered keeps it waiting.
func (m *Mount) Flush(ctx context.Context) error {
	return m.fs.notifier.wait(ctx)
}
