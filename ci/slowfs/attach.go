package slowfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const (
	fsName     = "slowfs" // mountinfo shows the type fuse.slowfs
	maxRequest = 1 << 20  // bytes in one READ, as in a Lustre RPC

	// detachTimeout bounds the unmount itself, drainTimeout the wait for the kernel to let go
	// after it.
	detachTimeout = 5 * time.Second
	drainTimeout  = 2 * time.Second
)

// mount mounts the view on dir and serves it until unmount.
func (s *Server) mount(index int, dir string, root identity) (*mount, error) {
	m := &mount{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		server:        s,
		index:         index,
		dir:           dir,
		nodes:         newNodes(root),
		handles:       make(map[uint64]*handle),
		ended:         make(chan struct{}),
	}
	options := &fuse.MountOptions{
		FsName: fsName,
		Name:   fsName,
		// ro: the kernel itself answers EROFS, and does not ask for new attributes after each
		// read because of the access time.
		Options:              []string{"ro", "default_permissions"},
		AllowOther:           s.options.AllowOther,
		MaxWrite:             maxRequest,
		MaxBackground:        64,
		DisableXAttrs:        true,
		DisableReadDirPlus:   true,
		DisableSplice:        true,
		EnableSymlinkCaching: true,
		Logger:               slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
	before := deviceOf(dir)
	where := dir
	if os.Geteuid() == 0 {
		if fd, err := attachDirectly(dir, s.options.AllowOther); err == nil {
			where = fmt.Sprintf("/dev/fd/%d", fd) // go-fuse takes the descriptor over
		}
	}
	var err error
	if m.conn, err = fuse.NewServer(m, where, options); err != nil {
		if deviceOf(dir) != before {
			err = errors.Join(err, detach(dir))
		}
		return nil, err
	}
	m.device = deviceOf(dir)
	go func() {
		defer close(m.ended)
		m.conn.Serve()
	}()
	if err := settlePolling(dir); err != nil {
		return nil, errors.Join(err, m.unmount())
	}
	return m, nil
}

// settlePolling makes the kernel learn that this mount knows no POLL. The Go runtime polls each
// file that it opens, without telling its scheduler that it blocks: a process that serves the
// mount and opens files in it, as tests do, would stop for ever. go-fuse answers for this name,
// and would do all this itself if it knew the mount point.
func settlePolling(dir string) error {
	fd, err := syscall.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("does not answer: %w", err)
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return syscall.Close(fd)
}

// attachDirectly mounts without fusermount3, which needs root. go-fuse can do that as well, but
// leaves the descriptor open to every process that is started afterwards, and such a process keeps
// the connection alive.
func attachDirectly(dir string, allowOther bool) (int, error) {
	fd, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,max_read=%d,default_permissions",
		fd, os.Geteuid(), os.Getegid(), maxRequest)
	if allowOther {
		data += ",allow_other"
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_RDONLY)
	if err := syscall.Mount(fsName, dir, "fuse."+fsName, flags, data); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// unmount takes the mount out of the tree and waits, within a bound, for the kernel to let go.
func (m *mount) unmount() error {
	if err := detach(m.dir); err != nil {
		return fmt.Errorf("unmount %q: %w", m.dir, err)
	}
	if m.drained() {
		m.server.options.Log.Info("unmounted", "dir", m.dir)
		return nil
	}
	// A process holds a file or a working directory there. Cut it off if that is permitted.
	abort := "/sys/fs/fuse/connections/" + m.device + "/abort"
	cut := m.device != "" && os.WriteFile(abort, []byte("1"), 0) == nil && m.drained()
	m.server.options.Log.Warn("unmounted while in use", "dir", m.dir, "cut off", cut)
	return nil
}

func (m *mount) drained() bool {
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-m.ended:
		return true
	case <-timer.C:
		return false
	}
}

// detach takes the mount on dir out of the tree, in use or not. With root's rights it also ends
// what is in use; without, that goes on until it is let go.
func detach(dir string) error {
	if os.Geteuid() == 0 {
		if unix.Unmount(dir, unix.UMOUNT_NOFOLLOW) == nil ||
			unix.Unmount(dir, unix.UMOUNT_NOFOLLOW|unix.MNT_FORCE|unix.MNT_DETACH) == nil {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), detachTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "fusermount3", "-u", "-z", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// deviceOf finds the minor device number of the mount on dir, by which the kernel names its FUSE
// connection, without touching the mount.
func deviceOf(dir string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	device := ""
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[4] == escapeMountinfo(dir) {
			_, device, _ = strings.Cut(fields[2], ":") // the last one is on top
		}
	}
	return device
}

var escapeMountinfo = strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace
