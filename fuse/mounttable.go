package fuse

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mountTable is /proc/self/mountinfo: reading it touches no mount.
type mountTable []mounted

type mounted struct {
	minor  int // of st_dev; for FUSE the number of the connection in /sys/fs/fuse/connections
	path   string
	fstype string
}

func readMounts() (mountTable, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	return parseMounts(string(text)), nil
}

// parseMounts reads lines like
//
//	36 35 0:53 / /mnt/a\040b rw,nosuid shared:1 - fuse.copper copper ro,user_id=0
func parseMounts(text string) mountTable {
	var t mountTable
	for line := range strings.Lines(text) {
		left, right, found := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !found || len(l) < 5 || len(r) < 1 {
			continue
		}
		_, minor, _ := strings.Cut(l[2], ":")
		n, err := strconv.Atoi(minor)
		if err != nil {
			continue
		}
		t = append(t, mounted{minor: n, path: unescape(l[4]), fstype: r[0]})
	}
	return t
}

// unescape undoes the \ooo of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
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
