package launch

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// CheckLeftovers looks for what killed daemons left on this node beside mounts, which are another check,
// and for daemons that belong to nothing.
func (d Doctor) CheckLeftovers() []Finding {
	const advice = "the next copper launch takes it away"
	var findings []Finding
	known := map[int]bool{os.Getpid(): true}
	for _, f := range footprints(d.Finder.Bases, "") {
		pids := f.processes()
		for _, pid := range pids {
			known[pid] = true
		}
		if fstype, err := d.Mounts.Type(f.Mount); len(pids) > 0 || f.Mount != "" && err == nil && fstype == FSType {
			continue
		}
		findings = append(findings, warning(advice, "rank %d of job %s was killed and left %s", f.Rank, f.Job, f.Path()))
	}
	for _, dir := range controlDirs(d.Finder.Bases, "") {
		if left := filesIn(dir, ".json"); len(left) == 0 {
			findings = append(findings, warning(advice, "%s is a control directory of no daemon", dir))
		}
	}
	if pids := strays(known); pids != nil {
		findings = append(findings, warning("a start that waits for its other ranks ends by itself; else: kill "+pids[0],
			"daemons or supervisors of Copper that have no mount here: %s", few(pids)))
	}
	if findings == nil {
		return []Finding{fine("nothing is left of killed daemons")}
	}
	return findings
}

// strays are this user's processes that serve, by what /proc shows of them, and are not known. What lives
// among other mounts, as in a container, is none: its traces are there.
func strays(known map[int]bool) (pids []string) {
	here, _ := os.Readlink("/proc/self/ns/mnt")
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || known[pid] {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		info, err := os.Stat(dir)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			continue
		}
		there, err := os.Readlink(filepath.Join(dir, "ns", "mnt"))
		if p := readProcess(pid); err == nil && there == here && p != nil && len(p.args) > 1 &&
			strings.HasPrefix(filepath.Base(p.args[0]), "copper") && (p.args[1] == "serve" || p.args[1] == "daemon") {
			pids = append(pids, e.Name())
		}
	}
	return pids
}
