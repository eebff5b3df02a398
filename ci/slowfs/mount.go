package slowfs

import (
	"errors"
	"io"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// mount answers the kernel's requests for one simulated node. It embeds go-fuse's default, which
// answers ENOSYS to what is not implemented here; the kernel remembers that and stops asking.
type mount struct {
	fuse.RawFileSystem
	server *Server
	index  int    // in Options.Mounts
	dir    string // the mount point
	nodes  *nodes

	conn   *fuse.Server
	device string        // name of the kernel's FUSE connection, "" if unknown
	ended  chan struct{} // closed when the kernel has let go of the connection

	mu         sync.Mutex
	handles    map[uint64]*handle
	lastHandle uint64
}

// handle is an open file or directory of the backing directory.
type handle struct {
	node *node
	file *os.File

	mu      sync.Mutex
	entries []fuse.DirEntry // of a directory, as they were when it was last read from the beginning
}

// operation is one counted request: what was asked, and what came of it.
type operation struct {
	op   Op
	path string
	end  int64 // of what a read or readdir asks for

	mode     uint32
	bytes    int64
	listings int64
}

// perform carries out an operation: faults first, then the wait for its turn, then the work
// itself, then the books. The caller's signals do not interrupt the wait: it is bounded, and a
// PFS client's is not interruptible either; each retry would be counted anew.
func (m *mount) perform(cancel <-chan struct{}, o operation, work func(o *operation) syscall.Errno) fuse.Status {
	errno := m.server.admit(m.dir, o.op, o.path, o.end, cancel)
	if errno == 0 {
		errno = work(&o)
	}
	if errno == 0 && o.op == OpRead {
		if errno = m.server.payBytes(o.bytes); errno != 0 {
			o.bytes = 0
		}
	}
	if m.server.serving.Load() {
		m.server.counter.add(m.index, o, errno)
	}
	return fuse.Status(errno)
}

// lifetime is how long the kernel may keep what it is told now.
func (m *mount) lifetime() time.Duration {
	if !m.server.serving.Load() {
		return 0
	}
	return m.server.options.CacheLifetime
}

func (m *mount) backing(viewPath string) string { return path.Join(m.server.options.Backing, viewPath) }

// lstat looks at the backing file of a node; ESTALE if it is gone or another by now.
func (m *mount) lstat(n *node, st *syscall.Stat_t) syscall.Errno {
	errno := lstat(m.backing(n.path), st)
	return n.stale(st, errno)
}

func (n *node) stale(st *syscall.Stat_t, errno syscall.Errno) syscall.Errno {
	if errno == syscall.ENOENT || errno == syscall.ENOTDIR || errno == 0 && identify(st) != n.identity {
		return syscall.ESTALE
	}
	return errno
}

// Lookup implements LOOKUP.
func (m *mount) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	parent, ok := m.nodes.get(header.NodeId)
	if !ok {
		return fuse.Status(syscall.ESTALE)
	}
	o := operation{op: OpLookup, path: path.Join(parent.path, name)}
	status := m.perform(cancel, o, func(o *operation) syscall.Errno {
		var st syscall.Stat_t
		if errno := lstat(m.backing(o.path), &st); errno != 0 {
			return errno
		}
		o.mode = st.Mode
		out.NodeId = m.nodes.enter(o.path, identify(&st)).id
		m.server.tick(&st)
		out.FromStat(&st)
		out.SetEntryTimeout(m.lifetime())
		out.SetAttrTimeout(m.lifetime())
		return 0
	})
	if lifetime := m.server.options.NegativeLifetime; status == fuse.ENOENT && lifetime > 0 {
		out.NodeId = 0
		out.SetEntryTimeout(lifetime)
		return fuse.OK
	}
	return status
}

// Forget implements FORGET.
func (m *mount) Forget(nodeid, nlookup uint64) { m.nodes.forget(nodeid, nlookup) }

// GetAttr implements GETATTR.
func (m *mount) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return m.performNode(cancel, in.NodeId, OpGetAttr, func(n *node, o *operation) syscall.Errno {
		var st syscall.Stat_t
		if errno := m.lstat(n, &st); errno != 0 {
			return errno
		}
		m.server.tick(&st)
		out.FromStat(&st)
		out.SetTimeout(m.lifetime())
		return 0
	})
}

// Readlink implements READLINK.
func (m *mount) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	var target string
	status := m.performNode(cancel, header.NodeId, OpReadLink, func(n *node, o *operation) syscall.Errno {
		var st syscall.Stat_t
		if errno := m.lstat(n, &st); errno != 0 {
			return errno
		}
		var err error
		target, err = os.Readlink(m.backing(n.path))
		return n.stale(&st, errnoOf(err))
	})
	return []byte(target), status
}

// StatFs implements STATFS.
func (m *mount) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return m.performNode(cancel, header.NodeId, OpStatFS, func(n *node, o *operation) syscall.Errno {
		var st syscall.Statfs_t
		if err := syscall.Statfs(m.backing(n.path), &st); err != nil {
			return errnoOf(err)
		}
		out.FromStatfsT(&st)
		return 0
	})
}

// Open implements OPEN.
func (m *mount) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return m.performNode(cancel, in.NodeId, OpOpen, func(n *node, o *operation) syscall.Errno {
		if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
			return syscall.EROFS
		}
		if m.lifetime() > 0 {
			out.OpenFlags = fuse.FOPEN_KEEP_CACHE
		}
		return m.open(n, &out.Fh)
	})
}

// Read implements READ.
func (m *mount) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h, ok := m.handle(in.Fh)
	if !ok {
		return nil, fuse.EBADF
	}
	buf = buf[:min(len(buf), int(in.Size))]
	o := operation{op: OpRead, path: h.node.path, end: int64(in.Offset) + int64(len(buf)), mode: h.node.kind}
	status := m.perform(cancel, o, func(o *operation) syscall.Errno {
		n, err := h.file.ReadAt(buf, int64(in.Offset))
		if err != nil && !errors.Is(err, io.EOF) {
			return errnoOf(err)
		}
		o.bytes = int64(n)
		buf = buf[:n]
		return 0
	})
	if status != fuse.OK {
		return nil, status // with a result beside it, go-fuse would answer OK
	}
	return fuse.ReadResultData(buf), fuse.OK
}

// Release implements RELEASE.
func (m *mount) Release(_ <-chan struct{}, in *fuse.ReleaseIn) { m.close(in.Fh) }

// Flush implements FLUSH: there is nothing to write back, so the kernel need not ask again.
func (m *mount) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Ioctl implements IOCTL as a PFS client answers unknown ones, CPython's isatty above all.
func (m *mount) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

// OnUnmount closes what the kernel did not release.
func (m *mount) OnUnmount() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for fh, h := range m.handles {
		_ = h.file.Close()
		delete(m.handles, fh)
	}
}

func (m *mount) String() string { return fsName }

func (m *mount) performNode(cancel <-chan struct{}, id uint64, op Op, work func(n *node, o *operation) syscall.Errno) fuse.Status {
	n, ok := m.nodes.get(id)
	if !ok {
		return fuse.Status(syscall.ESTALE)
	}
	return m.perform(cancel, operation{op: op, path: n.path, mode: n.kind}, func(o *operation) syscall.Errno {
		return work(n, o)
	})
}

// open opens the backing file of n and stores the number of its handle in fh. O_NONBLOCK, because
// a FIFO may have taken the file's place.
func (m *mount) open(n *node, fh *uint64) syscall.Errno {
	file, err := os.OpenFile(m.backing(n.path), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return syscall.ESTALE // a symbolic link has taken the file's place
	}
	if err != nil {
		return n.stale(nil, errnoOf(err))
	}
	var st syscall.Stat_t
	errno := n.stale(&st, errnoOf(syscall.Fstat(int(file.Fd()), &st)))
	if errno != 0 {
		_ = file.Close()
		return errno
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastHandle++
	m.handles[m.lastHandle] = &handle{node: n, file: file}
	*fh = m.lastHandle
	return 0
}

func (m *mount) handle(fh uint64) (*handle, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.handles[fh]
	return h, ok
}

func (m *mount) close(fh uint64) {
	m.mu.Lock()
	h, ok := m.handles[fh]
	delete(m.handles, fh)
	m.mu.Unlock()
	if ok {
		_ = h.file.Close()
	}
}

func lstat(path string, st *syscall.Stat_t) syscall.Errno {
	for {
		if errno := errnoOf(syscall.Lstat(path, st)); errno != syscall.EINTR {
			return errno
		}
	}
}

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	}
	return syscall.EIO
}
