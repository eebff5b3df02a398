package fuse

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
)

const (
	maxName = 255 // bytes of one path component, as on every Linux file system

	// statfsAtOnce bounds the threads that a PFS which does not answer statfs can hold.
	statfsAtOnce = 4
)

// filesystem answers the kernel's requests. What it does not override is answered with ENOSYS,
// which the kernel remembers for most operations and then does without.
type filesystem struct {
	gofuse.RawFileSystem

	// Dependencies.
	source  store.Source
	statfs  func(path string) (unix.Statfs_t, error)
	links   func(link, target string) (string, bool) // nil: links are shown as they are
	log     *slog.Logger
	observe func(Answer)              // nil: nobody wants to know
	ioctl   func(number uint32) error // nil: there are none

	// Constant after Init.
	dir       string // of the mount
	deadline  time.Duration
	withheld  uint64 // of the kernel's capabilities
	kernel    Kernel
	device    int  // /dev/fuse, only to see whether the connection still stands
	direct    bool // the kernel keeps nothing
	noOpen    bool // the kernel does without OPEN once told so
	noOpendir bool // the kernel does without OPENDIR once told so
	dead      chan struct{}

	// Mutable, each with its own lock.
	nodes       *nodeTable
	inodes      inodes
	snapshots   *snapshots
	notifier    *notifier
	pusher      *pusher
	counters    counters
	waiting     atomic.Int64  // requests whose answer the Source has to fetch
	changes     atomic.Uint64 // counts what the kernel was told to forget
	statfsSlots chan struct{}
	ioctlSlot   chan struct{}
}

// Init is called when the kernel has told what it can do and before it asks anything.
func (fs *filesystem) Init(server *gofuse.Server) {
	offer := server.KernelSettings()
	have := offer.Flags64() &^ fs.withheld
	fs.noOpen = have&gofuse.CAP_NO_OPEN_SUPPORT != 0 && !fs.direct
	fs.noOpendir = have&gofuse.CAP_NO_OPENDIR_SUPPORT != 0 && !fs.direct
	fs.kernel = agreed(offer, fs.withheld)
	fs.notifier.kernel = server
}

func (fs *filesystem) String() string { return FSName }

// fail is what the kernel is told for err.
func (fs *filesystem) fail(err error) gofuse.Status {
	errno := store.Errno(err)
	if errno == syscall.EINTR {
		select {
		case <-fs.dead: // who is told EINTR may ask again, for ever
			errno = syscall.ENOTCONN
		default:
		}
	}
	// The kernel takes no other numbers and would leave its caller waiting; and ENOSYS would
	// switch the operation off for good.
	if errno >= 512 || errno == syscall.ENOSYS {
		errno = syscall.EIO
	}
	return gofuse.Status(errno)
}

// learnRoot makes sure that the root's file system is known, which decides what inode numbers are
// shown.
func (fs *filesystem) learnRoot(req *request) error {
	if fs.inodes.root.Load() != nil {
		return nil
	}
	attr, err := fs.source.Stat(req, "/", store.Version{})
	if err != nil {
		return err
	}
	fs.inodes.root.CompareAndSwap(nil, &attr)
	return nil
}

func (fs *filesystem) Lookup(cancel <-chan struct{}, header *gofuse.InHeader, name string, out *gofuse.EntryOut) (status gofuse.Status) {
	fs.counters.count(opLookup)
	parent := fs.nodes.get(header.NodeId)
	switch {
	case parent == nil:
		return gofuse.Status(syscall.ESTALE)
	case len(name) > maxName:
		return gofuse.Status(syscall.ENAMETOOLONG)
	case name == "" || strings.IndexByte(name, '/') >= 0:
		return gofuse.EINVAL
	}
	path := join(parent.path, name)
	req := fs.begin(cancel, header)
	defer func() {
		req.finish(Answer{Request: operationNames[opLookup], Path: path, Absent: status == gofuse.OK && out.NodeId == 0}, status)
	}()
	if err := fs.learnRoot(req); err != nil {
		return fs.fail(err)
	}
	old := fs.nodes.current(path)
	changes := fs.changes.Load()
	attr, link, err := fs.look(req, path, old.staleVersion())
	if err != nil {
		return fs.notFound(parent, name, err, out)
	}
	n := fs.nodes.enter(path, attr, link)
	if n == old {
		n.stale.Store(false) // the Source was asked to look again and stands by it
	}
	out.NodeId = n.id
	if fs.changes.Load() == changes {
		out.SetEntryTimeout(fs.lifetime())
		out.SetAttrTimeout(fs.lifetime())
	} // else this may be what the kernel was told to forget, before it got to know it
	fs.fill(&out.Attr, n, &attr)
	return gofuse.OK
}

// notFound answers a failed lookup: with a negative entry where absence may be remembered, else
// with the error, which the kernel does not keep.
func (fs *filesystem) notFound(parent *node, name string, err error, out *gofuse.EntryOut) gofuse.Status {
	var failed *store.Error
	if errors.As(err, &failed) && failed.Errno == syscall.ENOENT && !failed.Expires.IsZero() {
		left := min(time.Until(failed.Expires), fs.lifetime())
		if left > 0 && (parent.id != gofuse.FUSE_ROOT_ID || fs.notifier.absentInRoot(name, failed.Expires)) {
			out.NodeId = 0
			out.SetEntryTimeout(left)
			return gofuse.OK
		}
	}
	return fs.fail(err)
}

func (fs *filesystem) Forget(id, lookups uint64) {
	fs.counters.count(opForget)
	fs.nodes.forget(id, lookups)
}

func (fs *filesystem) GetAttr(cancel <-chan struct{}, in *gofuse.GetAttrIn, out *gofuse.AttrOut) (status gofuse.Status) {
	fs.counters.count(opGetattr)
	n := fs.nodes.get(in.NodeId)
	if n == nil {
		return gofuse.Status(syscall.ESTALE)
	}
	attr := n.attr
	root := n.id == gofuse.FUSE_ROOT_ID
	if root || attr.IsDir() {
		req := fs.begin(cancel, &in.InHeader)
		defer func() { req.finish(Answer{Request: operationNames[opGetattr], Path: n.path}, status) }()
		var err error
		if attr, err = fs.source.Stat(req, n.path, store.Version{}); err != nil {
			return fs.fail(err)
		}
		if root {
			fs.inodes.root.CompareAndSwap(nil, &attr)
		} else if !n.shows(attr) {
			fs.dropEntry(n)
			return gofuse.Status(syscall.ESTALE)
		}
	} else {
		fs.observed(Answer{Request: operationNames[opGetattr], Path: n.path}, time.Now(), gofuse.OK)
	}
	out.SetTimeout(fs.lifetime())
	fs.fill(&out.Attr, n, &attr)
	return gofuse.OK
}

// StatFs asks in a goroutine of its own, since statfs(2) can't be interrupted.
func (fs *filesystem) StatFs(cancel <-chan struct{}, header *gofuse.InHeader, out *gofuse.StatfsOut) (status gofuse.Status) {
	fs.counters.count(opStatfs)
	n := fs.nodes.get(header.NodeId)
	if n == nil {
		return gofuse.Status(syscall.ESTALE)
	}
	if fs.statfs == nil {
		*out = gofuse.StatfsOut{Bsize: 4096, Frsize: 4096, NameLen: maxName}
		return gofuse.OK
	}
	req := fs.begin(cancel, header)
	defer func() { req.finish(Answer{Request: operationNames[opStatfs], Path: n.path}, status) }()
	select {
	case fs.statfsSlots <- struct{}{}:
	case <-req.Done():
		return fs.fail(req.Err())
	}
	type answer struct {
		figures unix.Statfs_t
		err     error
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-fs.statfsSlots }()
		figures, err := fs.statfs(n.path)
		answered <- answer{figures, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return fs.fail(a.err)
		}
		f := &a.figures
		*out = gofuse.StatfsOut{
			Blocks: f.Blocks, Bfree: f.Bfree, Bavail: f.Bavail, Files: f.Files, Ffree: f.Ffree,
			Bsize: uint32(f.Bsize), Frsize: uint32(f.Frsize), NameLen: uint32(f.Namelen),
		}
		return gofuse.OK
	case <-req.Done():
		return fs.fail(req.Err())
	}
}
