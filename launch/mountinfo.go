package launch

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/moby/sys/mountinfo"
)

// FSType is what /proc/self/mountinfo calls a Copper mount.
const FSType = "fuse.copper"

// mountEntry is one line of /proc/self/mountinfo.
type mountEntry struct {
	point  string
	fstype string
	minor  string // of its device number: a FUSE mount's connection
}

// readEntries is the mount table; a later entry lies over an earlier one at the same place.
func readEntries(r io.Reader) ([]mountEntry, error) {
	all, err := mountinfo.GetMountsFromReader(r, nil)
	if err != nil {
		return nil, err
	}
	entries := make([]mountEntry, len(all))
	for i, m := range all {
		entries[i] = mountEntry{point: m.Mountpoint, fstype: m.FSType, minor: strconv.Itoa(m.Minor)}
	}
	return entries, nil
}

// mountedAt is the type of the uppermost file system mounted at point, "" if none is.
func mountedAt(point string) (string, error) {
	e, err := entryAt(point)
	return e.fstype, err
}

// entryAt is the uppermost mount at point, all "" if there is none.
func entryAt(point string) (mountEntry, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mountEntry{}, err
	}
	defer f.Close()
	entries, err := readEntries(f)
	if err != nil {
		return mountEntry{}, err
	}
	return uppermost(entries, realMountpoint(point)), nil
}

func uppermost(entries []mountEntry, point string) mountEntry {
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].point == point {
			return entries[i]
		}
	}
	return mountEntry{}
}

// realMountpoint resolves symbolic links as mountinfo does. It never asks the file system that may
// be mounted at path, which may be dead or, worse, hang: only the directory above it.
func realMountpoint(path string) string {
	for range 40 { // as many links as the kernel follows
		path = filepath.Clean(path)
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(dir, filepath.Base(path))
		}
		link, err := os.Readlink(path) // answered without the file system mounted there
		if errors.Is(err, syscall.EINVAL) || err != nil {
			break
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return path
}
