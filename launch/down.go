package launch

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const downBound = 5 * time.Second // for the scheduler to tell its nodes' states

// downQueries are the commands that print the nodes of a scheduler, one a line, its name and its state first.
var downQueries = map[Scheduler][]string{
	Slurm: {"sinfo", "-h", "-N", "-o", "%N %T"},
	PBS:   {"pbsnodes", "-l"}, // those alone that are not free for jobs
}

// Down asks the scheduler which hosts of the allocation are down. It knows of none that it can't be asked about, and
// learns of those that have just died after some minutes. To PBS a host is down when its own daemon there is, whatever
// another launcher can do with it.
func (a Allocation) Down(ctx context.Context) []string {
	query := downQueries[a.Scheduler]
	if query == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, downBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, query[0], query[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return a.downAmong(string(out))
}

// downAmong reads what the scheduler prints.
func (a Allocation) downAmong(out string) (hosts []string) {
	dead := map[string]bool{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 1 && isDown(fields[1]) {
			dead[shortened(fields[0])] = true
		}
	}
	for _, h := range a.Hosts {
		if dead[shortened(h)] {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// isDown judges a state of Slurm's (down, down*) or of PBS's (down, "offline,down", "state-unknown"). A node that only
// takes no further jobs is not down, nor is one that has not responded just now (mixed*): Slurm calls it down in time.
func isDown(state string) bool {
	return slices.ContainsFunc(strings.Split(strings.ToLower(state), ","), func(s string) bool {
		s = strings.TrimRight(s, "*~#!%$@+-")
		return s == "down" || s == "state-unknown" || s == "unknown" || s == "fail"
	})
}
