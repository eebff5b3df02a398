package launch

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 64MiB, 1.5G or 1048576. K, M, G and T are powers of 1024.
type Size int64

var sizeForm = regexp.MustCompile(`(?i)^([0-9]+(?:\.[0-9]+)?) ?(?:([KMGT])i?)?B?$`)

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	parts := sizeForm.FindStringSubmatch(strings.TrimSpace(string(text)))
	if parts == nil {
		return fmt.Errorf("%q is not a size such as 64MiB", text)
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	if parts[2] != "" {
		n *= math.Pow(1024, float64(1+strings.Index("KMGT", strings.ToUpper(parts[2]))))
	}
	if err != nil || n >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", text)
	}
	*s = Size(n)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the size in bytes.
func (s Size) String() string { return strconv.FormatInt(int64(s), 10) }

// Bytes writes n bytes for people.
func Bytes(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n) / 1024
	i := 0
	for ; v >= 1023.95 && i < len(units)-1; i++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

const (
	leastMemory = 256 << 20
	mostMemory  = 16 << 30
)

// DefaultMemory is the budget of one of sharers daemons on this node where none was asked for: an
// eighth of the node's memory or of the control group's limit, shared by the daemons, at most
// 16 GiB and at least 256 MiB.
func DefaultMemory(sharers int) int64 {
	return share(nodeMemory("/proc/meminfo"), cgroupLimit("/proc/self/cgroup", "/sys/fs/cgroup"), sharers)
}

func share(memory, limit int64, sharers int) int64 {
	if limit > 0 && (memory == 0 || limit < memory) {
		memory = limit
	}
	return min(max(memory/8/int64(max(sharers, 1)), leastMemory), mostMemory)
}

// nodeMemory is MemTotal in bytes, 0 if that can't be told.
func nodeMemory(meminfo string) int64 {
	content, _ := os.ReadFile(meminfo)
	for line := range strings.Lines(string(content)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// cgroupLimit is the smallest memory limit of the control groups that this process is in, of
// either version, in bytes; 0 for none.
func cgroupLimit(self, root string) int64 {
	content, _ := os.ReadFile(self)
	var limit int64
	for line := range strings.Lines(string(content)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		dir, file := root, "memory.max"
		switch {
		case f[1] == "memory":
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		case f[1] != "":
			continue
		}
		for group := filepath.Clean("/" + f[2]); ; group = filepath.Dir(group) {
			text, _ := os.ReadFile(filepath.Join(dir, group, file))
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
			if err == nil && n > 0 && n < 1<<60 && (limit == 0 || n < limit) {
				limit = n
			}
			if group == "/" {
				break
			}
		}
	}
	return limit
}
