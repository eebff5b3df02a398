package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
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
	// Concurrency bounds the system calls under way at the PFS; 0 means 64. Each may block an
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
	files    *openFiles
	slots    chan struct{}
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
	// settling is how long a directory must have been quiet for its times to betray a later
	// change: coarser than any file system's clock, with some skew between clocks.
	settling = 3 * time.Second
	// listTries bounds how often a directory that changes while it is read is read again.
	listTries = 3
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
	m, err := newMounts(abs)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount table: %w", err), unix.Close(fd))
	}
	if opts.Concurrency == 0 {
		opts.Concurrency = defaultConcurrency
	}
	return &Origin{
		target:   abs,
		given:    given,
		root:     fd,
		mem:      mem,
		mounts:   m,
		files:    newOpenFiles(),
		slots:    make(chan struct{}, opts.Concurrency),
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

// enter waits for a slot at the PFS and refuses what is not served. The caller calls leave when
// the error is nil.
func (o *Origin) enter(ctx context.Context, op, path string) (mounted, error) {
	mt := o.mounts.at(path)
	if !mt.served() {
		return mt, o.fail(op, path, syscall.ENOENT)
	}
	select {
	case o.slots <- struct{}{}:
		return mt, nil
	case <-ctx.Done():
		return mt, ctx.Err()
	}
}

func (o *Origin) leave() { <-o.slots }

// fail makes the error that the application gets, with a lease if it says "not there".
func (o *Origin) fail(op, path string, err error) error {
	e := &Error{Op: op, Path: path, Errno: Errno(err)}
	if e.Absent() {
		e.Expires = time.Now().Add(o.negative)
	}
	return e
}

// Stat implements [Source]; it always asks the PFS.
func (o *Origin) Stat(ctx context.Context, path string, _ Version) (Attr, error) {
	mt, err := o.enter(ctx, "lstat", path)
	if err != nil {
		return Attr{}, err
	}
	defer o.leave()
	return o.lstat(path, mt)
}

func (o *Origin) lstat(path string, mt mounted) (Attr, error) {
	o.counts.lstat.Add(1)
	fd, err := o.open(path, unix.O_PATH)
	if err != nil {
		return Attr{}, o.fail("lstat", path, err)
	}
	defer unix.Close(fd)
	a, err := fstat(fd, mt)
	if err != nil {
		return Attr{}, o.fail("lstat", path, err)
	}
	return a, nil
}

// open opens a path of the view below the target. No symbolic link is followed: the kernel of
// whoever asks has resolved them, so one that turns up here came from somebody else's tree.
func (o *Origin) open(path string, flags uint64) (int, error) {
	rel := strings.TrimPrefix(path, "/")
	if rel == "" {
		rel = "."
	}
	how := &unix.OpenHow{
		Flags:   flags | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(o.root, rel, how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: a rename raced with the resolution
			return fd, err
		}
	}
}

// fstat never fails with EINTR and gives the file system its number of the view.
func fstat(fd int, mt mounted) (Attr, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(fd, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Attr{}, err
		}
	}
	return Attr{
		Dev: mt.id, Ino: st.Ino, Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid, Rdev: st.Rdev,
		Size: st.Size, Blocks: st.Blocks, BlockSize: int32(st.Blksize),
		Atime: st.Atim.Nano(), Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}, nil
}

// ReadLink implements [Source].
func (o *Origin) ReadLink(ctx context.Context, path string) (string, error) {
	if _, err := o.enter(ctx, "readlink", path); err != nil {
		return "", err
	}
	defer o.leave()
	o.counts.readlink.Add(1)
	fd, err := o.open(path, unix.O_PATH)
	if err != nil {
		return "", o.fail("readlink", path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if errors.Is(err, unix.ENOENT) { // what readlinkat says of a descriptor that is not a link
		err = unix.EINVAL
	}
	if err != nil {
		return "", o.fail("readlink", path, err)
	}
	return string(buf[:n]), nil
}

// List implements [Source]. A directory that changed while it was read is read again, a few
// times; then what was seen is returned as not complete.
func (o *Origin) List(ctx context.Context, dir string, known *Listing) (*Listing, error) {
	mt, err := o.enter(ctx, "readdir", dir)
	if err != nil {
		return nil, err
	}
	defer o.leave()
	if known != nil && known.Complete && known.Settled {
		now, err := o.lstat(dir, mt)
		if err != nil {
			return nil, err
		}
		if now.Version() == known.Dir.Version() {
			return known.Renewed(time.Now().Add(o.negative)), nil
		}
	}
	for try := 1; ; try++ {
		l, err := o.readDir(dir, mt)
		if err != nil {
			return nil, o.fail("readdir", dir, err)
		}
		if l.Complete || try == listTries || ctx.Err() != nil {
			l.Complete = l.Complete && mt.fsType != "autofs"
			return l, nil
		}
	}
}

func (o *Origin) readDir(dir string, mt mounted) (*Listing, error) {
	o.counts.readdir.Add(1)
	fd, err := o.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	before, err := fstat(fd, mt)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	entries, err := readEntries(fd)
	if err != nil {
		return nil, err
	}
	after, err := fstat(fd, mt)
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, e := range entries {
		if o.mounts.at(join(dir, e.Name)).served() {
			kept = append(kept, e)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].Name < kept[j].Name })
	quiet := began.UnixNano() - max(before.Mtime, before.Ctime)
	return &Listing{
		Dir: after, Entries: kept,
		Complete: before.Version() == after.Version(),
		Settled:  quiet > int64(settling),
		Expires:  began.Add(o.negative),
	}, nil
}

// StatFS is statfs(2) of the file system behind path.
func (o *Origin) StatFS(path string) (unix.Statfs_t, error) {
	var st unix.Statfs_t
	if _, err := o.enter(context.Background(), "statfs", path); err != nil {
		return st, err
	}
	defer o.leave()
	fd, err := o.open(path, unix.O_PATH)
	if err != nil {
		return st, o.fail("statfs", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Fstatfs(fd, &st); err != nil {
		return st, o.fail("statfs", path, err)
	}
	return st, nil
}
