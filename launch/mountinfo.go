package launch

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// FSType is what /proc/self/mountinfo calls a Copper mount.
const FSType = "fuse.copper"

// mountEntry is one line of /proc/self/mountinfo.
type mountEntry struct {
	point  string
	fstype string
	minor  string // of its device number: a FUSE mount's connection
}

// parseMountinfo reads the format of proc_pid_mountinfo(5). A later entry lies over an earlier one
// at the same place. Lines that are not understood are passed over.
func parseMountinfo(r io.Reader) ([]mountEntry, error) {
	var entries []mountEntry
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // overlayfs has long option lists
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if !ok || len(front) < 6 || len(back) < 2 {
			continue
		}
		_, minor, _ := strings.Cut(front[2], ":")
		entries = append(entries, mountEntry{point: unescape(front[4]), fstype: back[0], minor: minor})
	}
	return entries, lines.Err()
}

// unescape undoes the kernel's \ooo for blanks and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i+4 > len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
			b.WriteByte(byte(n))
			s = s[i+4:]
		} else {
			b.WriteByte('\\')
			s = s[i+1:]
		}
	}
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
	entries, err := parseMountinfo(f)
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
