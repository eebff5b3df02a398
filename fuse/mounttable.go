package fuse

import (
	"fmt"

	"github.com/moby/sys/mountinfo"
)

// mountTable is /proc/self/mountinfo: reading it touches no mount.
type mountTable []mounted

type mounted struct {
	minor  int // of st_dev; for FUSE the number of the connection in /sys/fs/fuse/connections
	path   string
	fstype string
}

func readMounts() (mountTable, error) {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	return tableOf(all), nil
}

func tableOf(all []*mountinfo.Info) mountTable {
	t := make(mountTable, len(all))
	for i, m := range all {
		t[i] = mounted{minor: m.Minor, path: m.Mountpoint, fstype: m.FSType}
	}
	return t
}

// at returns what is mounted at path: the topmost, where mounts are stacked.
func (t mountTable) at(path string) (mounted, bool) {
	for i := len(t) - 1; i >= 0; i-- {
		if t[i].path == path {
			return t[i], true
		}
	}
	return mounted{}, false
}

// has tells whether the connection of that number is mounted at path.
func (t mountTable) has(path string, minor int) bool {
	for _, m := range t {
		if m.path == path && m.minor == minor {
			return true
		}
	}
	return false
}
