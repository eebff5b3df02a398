package launch

import (
	"fmt"
	"strings"
	"time"
)

const maxIDLen = 64 // bytes; the id is part of a socket's path, which Linux limits to 107

// SchedulerID is the id of the scheduler's job that the process runs in, "" if in none. getenv is
// os.Getenv or the like.
func SchedulerID(getenv func(string) string) string {
	if id, _, _ := strings.Cut(getenv("PBS_JOBID"), "."); id != "" {
		return id
	}
	return getenv("SLURM_JOB_ID")
}

// StampID is the id of a job without a scheduler, for whoever starts it: local-20261121-104355-4711.
func StampID(now time.Time, pid int) string {
	return fmt.Sprintf("local-%s-%d", now.Format("20060102-150405"), pid)
}

// RankID is the id of a job without a scheduler for daemons that nobody gave one: all can make it
// of what they know of rank 0.
func RankID(host string, pid int) string {
	const room = maxIDLen - len("local--") - len("4194304")
	return fmt.Sprintf("local-%s-%d", host[:min(len(host), room)], pid)
}

// CheckID reports why id can't be a job's id: it names directories.
func CheckID(id string) error {
	if id == "" || len(id) > maxIDLen || id[0] == '.' || id[0] == '-' {
		return BadInput("job id %q: want 1 to %d characters, the first neither '.' nor '-'", id, maxIDLen)
	}
	for _, c := range id {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune("._-[]", c):
		default:
			return BadInput("job id %q: %q is not one of letters, digits and . _ - [ ]", id, c)
		}
	}
	return nil
}
