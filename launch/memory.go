package launch

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/copper-hpc/copper/store"
)

const (
	leastMemory = 256 << 20
	mostMemory  = 16 << 30
)

// DefaultMemory is the budget of one of sharers daemons on this node where none was asked for: an
// eighth of the node's memory or of the control group's limit (a job scheduler's, a container's),
// shared by the daemons, at most 16 GiB and at least 256 MiB; less only where these would be more than
// half of what there is.
func DefaultMemory(sharers int) int64 {
	return share(nodeMemory("/proc/meminfo"), cgroupLimit("/proc/self/cgroup", "/sys/fs/cgroup"), sharers)
}

func share(memory, limit int64, sharers int) int64 {
	if limit > 0 && (memory == 0 || limit < memory) {
		memory = limit
	}
	each := memory / int64(max(sharers, 1))
	least := int64(leastMemory)
	if each > 0 {
		least = max(min(least, each/2), store.MinMemory)
	}
	return min(max(each/8, least), mostMemory)
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
// either version, in bytes; 0 for none. self is the process's list of them, root where they are mounted.
func cgroupLimit(self, root string) int64 {
	content, _ := os.ReadFile(self)
	var limit int64
	for line := range strings.Lines(string(content)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		// memory.high is where the kernel throttles a group, well before it kills in it.
		dir, files := root, []string{"memory.max", "memory.high"}
		switch {
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			dir, files = filepath.Join(root, "memory"), []string{"memory.limit_in_bytes"}
		case f[1] != "":
			continue
		}
		for group := filepath.Clean("/" + f[2]); ; group = filepath.Dir(group) {
			for _, file := range files {
				if n := limitIn(filepath.Join(dir, group, file)); n > 0 && (limit == 0 || n < limit) {
					limit = n
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return limit
}

// limitIn is the limit that a control group's file states, 0 for none.
func limitIn(file string) int64 {
	text, _ := os.ReadFile(file)
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= 1<<60 { // "max", or version 1's largest number
		return 0
	}
	return n
}
