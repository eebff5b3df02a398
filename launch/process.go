package launch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// process is what /proc tells of a process.
type process struct {
	args   []string
	state  byte // R, S, D, T, …
	parent int
	// born is when it started, in clock ticks since the host did: with the process id it names
	// the process for good, whatever happens to the clock.
	born uint64
}

// readProcess returns nil for a process that has ended, even if nobody has waited for it yet.
func readProcess(pid int) *process {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil || pid <= 0 {
		return nil
	}
	// The command's name, in parentheses, may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return nil
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return nil
	}
	born, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return nil
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return nil
	}
	return &process{args: strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00"), state: fields[0][0], parent: parent, born: born}
}

// serves tells whether process pid is a daemon of job id, or the supervisor of one. Process ids are used again: born, if
// not 0, must agree too.
func serves(pid int, id string, born uint64) bool {
	p := readProcess(pid)
	return p != nil && p.serves(id) && (born == 0 || born == p.born)
}

func (p *process) serves(id string) bool {
	if len(p.args) < 2 || !slices.Contains(p.args[1:], "serve") && !slices.Contains(p.args[1:], "daemon") {
		return false
	}
	for i, arg := range p.args {
		if value, ok := strings.CutPrefix(arg, "--job="); ok {
			return value == id
		}
		if arg == "--job" && i+1 < len(p.args) {
			return p.args[i+1] == id
		}
	}
	return true // started without an id of its own
}

// running tells whether the launcher still runs, as far as this host can see.
func (r *launcherRecord) running(host string) bool {
	if r == nil || r.Host != host {
		return false
	}
	p := readProcess(r.PID)
	return p != nil && p.born == r.Born
}

// ShortHost is this host's name without its domain.
func ShortHost() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	if short, _, _ := strings.Cut(name, "."); short != "" {
		return short, nil
	}
	return name, nil
}
