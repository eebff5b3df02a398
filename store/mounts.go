package store

import (
	"hash/fnv"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mounts knows what is mounted where below the target, so that a question can be refused before
// it touches a mount that must not be touched (Copper's own, above all), and so that a file
// system has the same number on every node.
type mounts struct {
	target string // absolute, no symbolic links
	// info is /proc/self/mountinfo, to be polled for changes. It is no *os.File: Go's own poller
	// would swallow them.
	info  int
	limit gateLimits
	apart *gate // of what lies below no mount point that is known

	mu    sync.Mutex
	table map[string]mounted // by path in the view
}

type mounted struct {
	fsType string
	id     uint64 // the same on every node that mounts it there
	gate   *gate
}

// pseudo are the file systems that are not served: they show this machine's state, not files.
var pseudo = map[string]bool{
	"autofs": false, // served where something is mounted on it, but never listed for absence
	"proc":   true, "sysfs": true, "devtmpfs": true, "devpts": true, "cgroup": true, "cgroup2": true,
	"tracefs": true, "debugfs": true, "securityfs": true, "pstore": true, "bpf": true, "mqueue": true,
	"hugetlbfs": true, "configfs": true, "fusectl": true, "binfmt_misc": true, "efivarfs": true,
	"rpc_pipefs": true, "nfsd": true, "nsfs": true, "selinuxfs": true, "smackfs": true, "resctrl": true,
	"fuse.copper": true, "fuse.gvfsd-fuse": true, "fuse.portal": true,
}

func (m mounted) served() bool { return !pseudo[m.fsType] }

// inMemory: the file system lives in this node's memory, so no other node can answer for it.
func (m mounted) inMemory() bool { return m.fsType == "tmpfs" || m.fsType == "ramfs" }

// believesItself: the client answers for some seconds from what it remembers of a file, though others
// may have changed it. What it read meanwhile may be newer than the attributes that it tells.
func (m mounted) believesItself() bool {
	switch m.fsType {
	case "nfs", "nfs4", "cifs", "smb3", "9p":
		return true
	}
	return false
}

func newMounts(target string, limit gateLimits) (*mounts, error) {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	m := &mounts{target: target, info: fd, limit: limit, apart: newGate(limit), table: map[string]mounted{}}
	return m, m.read()
}

func (m *mounts) close() error { return unix.Close(m.info) }

// at tells on which file system a path of the view lies, by its longest mounted prefix.
func (m *mounts) at(path string) mounted {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stale() {
		// The table that is held keeps answering if the new one can't be read.
		_ = m.read()
	}
	for {
		if mt, ok := m.table[path]; ok {
			return mt
		}
		if path == "/" {
			return mounted{gate: m.apart}
		}
		path, _ = split(path)
	}
}

// stale asks the kernel whether anything was mounted or unmounted since the table was read.
func (m *mounts) stale() bool {
	fds := []unix.PollFd{{Fd: int32(m.info), Events: unix.POLLPRI}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLPRI) != 0
}

// read fills the table; what is mounted later covers what was mounted earlier at the same place.
func (m *mounts) read() error {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	table := map[string]mounted{}
	for _, mount := range all {
		view, ok := m.inView(mount.Mountpoint)
		if !ok {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(view))
		gate := m.table[view].gate // what is under way there goes on
		if gate == nil {
			gate = newGate(m.limit)
		}
		table[view] = mounted{fsType: mount.FSType, id: h.Sum64(), gate: gate}
	}
	m.table = table
	return nil
}

// inView turns a mount point into a path of the view; what is mounted at the target or above it
// is the view's root.
func (m *mounts) inView(point string) (string, bool) {
	switch {
	case below(m.target, point):
		return "/", true
	case m.target == "/":
		return point, true
	case below(point, m.target):
		return point[len(m.target):], true
	}
	return "", false
}
