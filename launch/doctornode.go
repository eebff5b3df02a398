package launch

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckCores tells which cores this process may use, and whether the service cores are among them.
func (d Doctor) CheckCores() []Finding {
	online, _ := os.ReadFile("/sys/devices/system/cpu/online")
	return cores(allowedCores("/proc/self/status"), strings.TrimSpace(string(online)), d.Getenv("COPPER_CORES"), runtime.GOMAXPROCS(0))
}

// allowedCores is the list of cores that the process may run on, such as 0-3,8.
func allowedCores(status string) string {
	content, _ := os.ReadFile(status)
	for line := range strings.Lines(string(content)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(list)
		}
	}
	return ""
}

func cores(allowed, online, service string, procs int) (findings []Finding) {
	may, err := parseCores(allowed)
	there, errThere := parseCores(online)
	if err != nil || errThere != nil {
		return []Finding{warning("Copper works without knowing", "the cores of this node can't be told (%q of %q)", allowed, online)}
	}
	found := fmt.Sprintf("%d of %s may be used here: %s", len(may), count(len(there), "core"), allowed)
	if procs < len(may) {
		found += fmt.Sprintf("; %d at once, by a control group or GOMAXPROCS", procs)
	}
	if min(procs, len(may)) < 2 {
		findings = append(findings, warning("give the daemon two cores or more: with one every request takes several times as long", "%s", found))
	} else {
		findings = append(findings, fine("%s", found))
	}
	if service == "" {
		return findings
	}
	wanted, err := parseCores(service)
	if err != nil {
		return append(findings, problem("give a list such as 48,49 or 48-51", "COPPER_CORES: %v", err))
	}
	var missing, forbidden []string
	for c := range wanted {
		switch {
		case !there[c]:
			missing = append(missing, strconv.Itoa(c))
		case !may[c]:
			forbidden = append(forbidden, strconv.Itoa(c))
		}
	}
	switch {
	case missing != nil:
		findings = append(findings, problem("name cores that this node has: "+online, "COPPER_CORES=%s names cores that are not there: %s", service, few(unique(missing))))
	case forbidden != nil:
		findings = append(findings, warning("this shell may be bound to the application's cores; the launcher must let the daemon's step use its own",
			"COPPER_CORES=%s names cores that this process may not use: %s", service, few(unique(forbidden))))
	default:
		findings = append(findings, fine("service cores %s; keep them out of the application's binding list", service))
	}
	return findings
}

// mostCores bounds what a list of cores may name.
const mostCores = 1 << 16

// parseCores reads a list such as 48,49 or 0-3,8.
func parseCores(list string) (map[int]bool, error) {
	cores := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.Atoi(from)
		last := first
		if ranged && err == nil {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last >= mostCores {
			return nil, fmt.Errorf("%q is not a list of cores", list)
		}
		for c := first; c <= last; c++ {
			cores[c] = true
		}
	}
	return cores, nil
}

// CheckMemory tells what there is, and the budget that follows.
func (d Doctor) CheckMemory() []Finding {
	return memory(nodeMemory("/proc/meminfo"), cgroupLimit("/proc/self/cgroup", "/sys/fs/cgroup"), DefaultMemory(1), d.Getenv("COPPER_MEMORY"))
}

func memory(node, limit, standard int64, asked string) []Finding {
	found := "this node has " + Bytes(node)
	room := node
	if limit > 0 && limit < node {
		found += fmt.Sprintf(", of which a control group lets this process have %s", Bytes(limit))
		room = limit
	}
	budget, whose := standard, "the daemon's budget is %s by default, shared by the daemons of a host"
	if asked != "" {
		var size Size
		if err := size.UnmarshalText([]byte(asked)); err != nil {
			return []Finding{problem("give a size such as COPPER_MEMORY=2GiB", "COPPER_MEMORY: %v", err)}
		}
		budget, whose = int64(size), "COPPER_MEMORY gives each daemon a budget of %s"
	}
	found += "; " + fmt.Sprintf(whose, Bytes(budget))
	if room > 0 && budget > room/2 {
		return []Finding{warning("choose less with --memory, or the application may run out of memory", "%s, which is more than half", found)}
	}
	return []Finding{fine("%s", found)}
}

// fewFiles is the limit of open files below which a daemon with many neighbours may run short: it
// holds up to 128 files of the PFS open, and some connections for each tree.
const fewFiles = 1024

// CheckFiles tells how many files a daemon may hold open. It raises its own limit as far as it may.
func (d Doctor) CheckFiles() []Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return []Finding{warning("Copper works without knowing", "the limit of open files can't be told: %v", err)}
	}
	return files(limit.Max)
}

func files(most uint64) []Finding {
	if most < fewFiles {
		return []Finding{warning(fmt.Sprintf("raise it where the daemons are started: ulimit -Hn %d or more", fewFiles), "a process may open %d files, which is few", most)}
	}
	if most == unix.RLIM_INFINITY {
		return []Finding{fine("a process may open any number of files")}
	}
	return []Finding{fine("a process may open %d files", most)}
}
