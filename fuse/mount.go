package fuse

import (
	"bytes"
	"fmt"
	"log"
	"log/slog"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
)

const (
	defaultDeadline = 10 * time.Minute

	// backgroundRequests is how many readahead READs of the whole node may be unanswered at once.
	// The kernel's own 12 starve a node on which a hundred ranks start.
	backgroundRequests = 128
)

// Options says what to mount where.
type Options struct {
	// Mountpoint is an existing empty directory.
	Mountpoint string
	// Replace tells that a Copper mount at Mountpoint, if there is one, is one that nobody serves any
	// more: the new one takes its place.
	Replace bool
	// Shut is called before the old mount goes if the new one can't come at the same moment; what it
	// returns is called when the new one is there. nil: the directory beneath shows as it is.
	Shut func() (open func())
	// Source answers what the kernel asks.
	Source store.Source
	// StatFS answers statfs of a path in the view; without it the figures are zero.
	StatFS func(path string) (unix.Statfs_t, error)
	// Links tells for an absolute symbolic link at which path of the view its target lies, if it is
	// to be shown as a link to there; nil: all links are shown as they are.
	Links func(link, target string) (path string, ok bool)
	// Deadline is the time after which a request that has no answer gets ETIMEDOUT; 0: 10 minutes.
	Deadline time.Duration
	Log      *slog.Logger // nil: nothing is logged
	// Observe is told of every request that the kernel made for names, attributes, links, listings,
	// data and figures, when it is answered; nil: nobody is. It delays the answer, so it must not wait.
	Observe func(Answer)
	// Ioctl carries out the ioctl of that number, of 0 to 2500, on whatever path it was made; ENOTTY
	// where there is no such. It is called for one at a time. nil: there are none.
	Ioctl func(number uint32) error
	// NoKernelCache makes the kernel keep neither names nor attributes, listings or data, so that
	// nearly all that is done with files is asked for. Mapped files are still kept while they are.
	NoKernelCache bool
	// Debug logs every request and every answer at debug level.
	Debug bool

	withhold uint64 // capabilities that are not used though the kernel has them, as if it were older
}

// Mount is a mounted view.
type Mount struct {
	dir        string
	connection int // number in /sys/fs/fuse/connections
	fs         *filesystem
	done       chan struct{} // closed when the last request is answered and the device closed

	kill       sync.Once  // closes fs.dead
	unmounting sync.Mutex // one Unmount at a time
	attendance attendance
}

// FewestProcs is the GOMAXPROCS below which every request takes several times as long: one thread
// waits for the kernel, another answers. The caller, who owns the process, should see to it before
// it calls [New]; the number of threads that read requests follows GOMAXPROCS, from 2 to 16.
const FewestProcs = 2

// New mounts and serves until the mount goes away: by [Mount.Unmount] or by anybody else's umount.
// A [*SetupError] tells what the user has to change. After an error nothing is left mounted.
func New(o Options) (*Mount, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Deadline == 0 {
		o.Deadline = defaultDeadline
	}
	mountAt, resolve := attach, resolveMountpoint
	if o.Replace {
		mountAt, resolve = o.replace, resolveReplaced
	}
	dir, err := resolve(o.Mountpoint)
	if err != nil {
		return nil, err
	}
	if err := CheckDevice(); err != nil {
		return nil, err
	}
	fd, err := mountAt(dir)
	if err != nil {
		return nil, err
	}
	m, err := serve(dir, fd, o)
	if err != nil {
		_ = detach(dir, lazily)
		return nil, fmt.Errorf("serve the mount at %s: %w", dir, err)
	}
	return m, nil
}

// serve answers the connection fd, of which it takes ownership.
func serve(dir string, fd int, o Options) (*Mount, error) {
	device, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	fs := &filesystem{
		RawFileSystem: gofuse.NewDefaultRawFileSystem(),
		source:        o.Source,
		statfs:        o.StatFS,
		links:         o.Links,
		dir:           dir,
		log:           o.Log,
		observe:       o.Observe,
		direct:        o.NoKernelCache,
		deadline:      o.Deadline,
		device:        device,
		withheld:      o.withhold,
		dead:          make(chan struct{}),
		nodes:         newNodeTable(),
		snapshots:     newSnapshots(),
		notifier:      newNotifier(o.Log),
		pusher:        newPusher(),
		statfsSlots:   make(chan struct{}, statfsAtOnce),
		ioctlSlot:     make(chan struct{}, 1),
		ioctl:         o.Ioctl,
	}
	m := &Mount{dir: dir, fs: fs, done: make(chan struct{})}
	if m.connection, err = connectionAt(dir); err != nil {
		syscall.Close(fd)
		syscall.Close(device)
		return nil, err
	}
	// The connection is made by attach, with its own options; given as /dev/fd/N go-fuse only
	// serves it. WaitMount is not called: it opens a file in the mount.
	server, err := gofuse.NewServer(fs, fmt.Sprintf("/dev/fd/%d", fd), &gofuse.MountOptions{
		Name:                 FSName,
		MaxWrite:             maxRequest,
		MaxBackground:        backgroundRequests,
		ExtraCapabilities:    gofuse.CAP_NO_OPENDIR_SUPPORT,
		DisabledCapabilities: o.withhold,
		EnableSymlinkCaching: !o.NoKernelCache,
		DisableReadDirPlus:   true,
		DisableSplice:        true,
		Debug:                o.Debug,
		Logger:               log.New(&goFuseLog{log: o.Log, dead: fs.dead, debug: o.Debug}, "", 0),
		PanicHandler: func(what any) gofuse.Status {
			o.Log.Error("panic while answering the kernel", "panic", what, "stack", string(debug.Stack()))
			return gofuse.EIO
		},
	})
	if err != nil {
		syscall.Close(device)
		return nil, err
	}
	go m.run(server)
	return m, nil
}

func connectionAt(dir string) (int, error) {
	mounts, err := readMounts()
	if err != nil {
		return 0, err
	}
	here, found := mounts.at(dir)
	if !found || here.fstype != FSType {
		return 0, fmt.Errorf("%s is not in the mount table", dir)
	}
	return here.minor, nil
}

func (m *Mount) run(server *gofuse.Server) {
	server.Serve()
	m.giveUp()
	m.fs.pusher.close()
	m.fs.notifier.close()
	syscall.Close(m.fs.device)
	close(m.done)
}

// giveUp ends all requests that wait for the Source: nobody waits for their answers.
func (m *Mount) giveUp() { m.kill.Do(func() { close(m.fs.dead) }) }

// connectionDead tells whether the kernel has given the connection up, by umount or abort.
func (fs *filesystem) connectionDead() bool { return fs.poll()&unix.POLLERR != 0 }

// Wait returns when the mount is gone and its last request is answered.
func (m *Mount) Wait() { <-m.done }

// Dir is the mount point with its symbolic links resolved.
func (m *Mount) Dir() string { return m.dir }

// Stats reads the counters.
func (m *Mount) Stats() Stats {
	s := m.fs.counters.read()
	s.Nodes = m.fs.nodes.len()
	return s
}

// goFuseLog takes what go-fuse logs: requests and answers if they are wanted, its complaints
// otherwise.
type goFuseLog struct {
	log   *slog.Logger
	dead  <-chan struct{}
	debug bool
}

func (l *goFuseLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	expected := l.debug || bytes.HasPrefix(line, []byte("Unimplemented opcode"))
	select {
	case <-l.dead: // answers to callers that are gone
		expected = true
	default:
	}
	if expected {
		l.log.Debug(text)
	} else {
		l.log.Warn(text)
	}
	return len(line), nil
}
