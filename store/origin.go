package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OriginOptions are the choices of an [Origin]; the zero value is good.
type OriginOptions struct {
	// NegativeLifetime is for how long "not there" may be remembered; 0: not at all.
	NegativeLifetime time.Duration
	// Concurrency bounds the system calls under way at each file system; 0 means 64. Each may block an
	// operating-system thread for as long as the PFS stalls.
	Concurrency int
}

// Origin is the [Source] that reads the real directory tree below a target directory: the one
// place where Copper touches the PFS. It follows no symbolic link, stays on the file systems that
// are worth serving (not /proc and the like, and never a Copper mount), and remembers nothing
// but a few open files.
type Origin struct {
	target   string // absolute, no symbolic links
	given    string // absolute, as it was named
	root     int    // O_PATH descriptor of target
	mem      *Memory
	mounts   *mounts
	rights   rights
	files    *openFiles
	young    young
	negative time.Duration
	counts   originCounts
}

type originCounts struct{ lstat, readdir, readlink, open, read, bytes atomic.Int64 }

// OriginCounts counts what an Origin asked of the PFS.
type OriginCounts struct {
	Lstat    int64 `json:"lstat"`
	Readdir  int64 `json:"readdir"` // directories read
	Readlink int64 `json:"readlink"`
	Open     int64 `json:"open"`
	Read     int64 `json:"read"`  // chunks
	Bytes    int64 `json:"bytes"` // of chunks
}

const (
	defaultConcurrency = 64
	// openTries bounds how often the way to a file is walked anew that others rename meanwhile.
	openTries = 64
)

// NewOrigin opens target, an existing directory.
func NewOrigin(target string, mem *Memory, opts OriginOptions) (*Origin, error) {
	given, err := filepath.Abs(target)
	abs := given
	if err == nil {
		abs, err = filepath.EvalSymlinks(given)
	}
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", target, err)
	}
	fd, err := unix.Open(abs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", target, err)
	}
	if opts.Concurrency == 0 {
		opts.Concurrency = defaultConcurrency
	}
	m, err := newMounts(abs, limitsOf(opts.Concurrency, mem))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount table: %w", err), unix.Close(fd))
	}
	return &Origin{
		target:   abs,
		given:    given,
		root:     fd,
		mem:      mem,
		mounts:   m,
		rights:   ownRights(),
		files:    newOpenFiles(),
		negative: opts.NegativeLifetime,
	}, nil
}

// Close closes the files that the Origin holds open.
func (o *Origin) Close() error {
	return errors.Join(o.files.close(), o.mounts.close(), unix.Close(o.root))
}

// Counts reads the Origin's counters.
func (o *Origin) Counts() OriginCounts {
	return OriginCounts{
		Lstat: o.counts.lstat.Load(), Readdir: o.counts.readdir.Load(), Readlink: o.counts.readlink.Load(),
		Open: o.counts.open.Load(), Read: o.counts.read.Load(), Bytes: o.counts.bytes.Load(),
	}
}

var _ Source = (*Origin)(nil)

// Local tells whether path lies on a file system that only this node has: one in memory, other
// than the one that the view's root is on. Its files must not be asked of another node, which
// has other files there (/tmp, /run, /dev/shm).
func (o *Origin) Local(path string) bool {
	mt := o.mounts.at(path)
	return mt.inMemory() && mt.id != o.mounts.at("/").id
}

// enter waits for a place at the file system of path and refuses what is not served. The caller leaves
// it when the error is nil.
func (o *Origin) enter(ctx context.Context, op, path string) (mounted, error) {
	mt := o.mounts.at(path)
	if !mt.served() {
		return mt, o.fail(op, path, syscall.ENOENT)
	}
	return mt, pass(ctx, mt.gate.calls)
}

func (m mounted) leave() { <-m.gate.calls }

// fail makes the error that the application gets, with a lease if it says "not there".
func (o *Origin) fail(op, path string, err error) error {
	e := &Error{Op: op, Path: path, Errno: Errno(err)}
	if e.Absent() {
		e.Expires = time.Now().Add(o.negative)
	}
	return e
}

// open opens a path of the view below the target. No symbolic link is followed: the kernel of
// whoever asks has resolved them, so one that turns up here has taken the place of what that kernel
// knew. That is ESTALE, which makes a kernel walk its way anew.
func (o *Origin) open(path string, flags uint64) (int, error) {
	fd, err := o.openBeneath(path, flags)
	if (errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR)) && o.throughLink(path) {
		err = unix.ESTALE
	}
	return fd, err
}

func (o *Origin) openBeneath(path string, flags uint64) (int, error) {
	rel := strings.TrimPrefix(path, "/")
	if rel == "" {
		rel = "."
	}
	how := &unix.OpenHow{
		Flags:   flags | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for raced := 0; ; {
		fd, err := unix.Openat2(o.root, rel, how)
		if err == unix.EAGAIN && raced < openTries { // a rename raced with the resolution
			raced++
			continue
		}
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// throughLink tells whether path or a directory on the way is a symbolic link.
func (o *Origin) throughLink(path string) bool {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		fd, err := o.openBeneath(path[:i], unix.O_PATH)
		if err != nil {
			return false
		}
		a, err := statx(fd, "", mounted{}, 0)
		_ = unix.Close(fd)
		if err != nil || a.Type() == syscall.S_IFLNK {
			return err == nil
		}
	}
	return false
}
