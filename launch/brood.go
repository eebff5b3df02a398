package launch

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// brood is a process of this host, what it has started, and what that has started in turn, as far as it was seen. Who
// was seen stays in it when its parent ends. It tells who is left of a launcher that has ended before its ranks joined
// MPI, as hydra's proxies are: they wait for it without a bound.
type brood map[int]uint64 // when each was born, by its process id

// look finds who is new.
func (b brood) look() {
	all := map[int]*process{}
	for _, pid := range allProcesses() {
		if p := readProcess(pid); p != nil {
			all[pid] = p
		}
	}
	for pid, born := range b {
		if p := all[pid]; p != nil && p.born != born {
			delete(b, pid) // another process has its id
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, p := range all {
			_, known := b[pid]
			if _, ours := b[p.parent]; ours && !known {
				b[pid], grown = p.born, true
			}
		}
	}
}

// alive are those who have not ended.
func (b brood) alive() (pids []int) {
	for pid, born := range b {
		if p := readProcess(pid); p != nil && p.born == born {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// signal sends sig to all who have not ended, and returns a line for each.
func (b brood) signal(sig syscall.Signal) (report []string) {
	for _, pid := range b.alive() {
		if err := syscall.Kill(pid, sig); err == nil {
			report = append(report, fmt.Sprintf("sent %s to process %d, which the launcher left", signalName(sig), pid))
		}
	}
	return report
}

// allProcesses are the ids of all processes of this host.
func allProcesses() (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
