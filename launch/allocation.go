package launch

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Scheduler is what gave a job its hosts.
type Scheduler string

// The schedulers that are told apart.
const (
	NoScheduler Scheduler = ""
	PBS         Scheduler = "PBS"
	Slurm       Scheduler = "Slurm"
)

// Allocation is the hosts that a job has.
type Allocation struct {
	Scheduler Scheduler
	ID        string   // of the scheduler's job
	Hosts     []string // as the scheduler calls them, in its order, each once; nil: this one
}

// FindAllocation is the allocation that this process finds itself in; without a scheduler it is this
// host. getenv is os.Getenv or the like.
func FindAllocation(getenv func(string) string) (Allocation, error) {
	a := Allocation{ID: SchedulerID(getenv)}
	switch {
	case a.ID == "":
		return a, nil
	case getenv("PBS_JOBID") != "":
		a.Scheduler = PBS
		return a, a.readNodeFile(getenv("PBS_NODEFILE"))
	}
	a.Scheduler = Slurm
	list, name := getenv("SLURM_JOB_NODELIST"), "SLURM_JOB_NODELIST"
	if list == "" {
		list = getenv("SLURM_NODELIST")
	}
	hosts, err := ExpandHostlist(list)
	if err == nil && len(hosts) == 0 {
		err = fmt.Errorf("it is not set")
	}
	if err != nil {
		return a, BadInput("%s of Slurm's job %s: %w; --nodes starts daemons on this host alone", name, a.ID, err)
	}
	a.Hosts = once(hosts)
	return a, nil
}

// Without returns the hosts but those of a list in Slurm's form, each of which must be among them.
func (a Allocation) Without(list string) ([]string, error) {
	excluded, err := ExpandHostlist(list)
	switch {
	case err != nil:
		return nil, BadInput("--exclude: %w", err)
	case len(excluded) == 0:
		return a.Hosts, nil
	case a.Hosts == nil:
		return nil, BadInput("--exclude=%s: no scheduler has given this job hosts", list)
	}
	out := map[string]bool{}
	for _, h := range excluded {
		if RankOn(a.Hosts, shortened(h)) < 0 {
			return nil, BadInput("--exclude=%s: %s is no host of %s's job %s, which has %s", list, h, a.Scheduler, a.ID, few(a.Hosts))
		}
		out[shortened(h)] = true
	}
	hosts := slices.DeleteFunc(slices.Clone(a.Hosts), func(h string) bool { return out[shortened(h)] })
	if len(hosts) == 0 {
		return nil, BadInput("--exclude=%s: no host of %s's job %s is left", list, a.Scheduler, a.ID)
	}
	return hosts, nil
}

// readNodeFile reads the hosts from PBS's node file: one a line, some several times.
func (a *Allocation) readNodeFile(path string) error {
	content, err := os.ReadFile(path)
	switch {
	case path == "":
		err = fmt.Errorf("it is not set")
	case err == nil:
		a.Hosts = once(strings.Fields(string(content)))
		if len(a.Hosts) == 0 {
			err = fmt.Errorf("%s is empty", path)
		}
	}
	if err != nil {
		return BadInput("PBS_NODEFILE of PBS's job %s: %w; --nodes starts daemons on this host alone", a.ID, err)
	}
	return nil
}

// once is hosts without repetitions.
func once(hosts []string) []string {
	seen := make(map[string]bool, len(hosts))
	return slices.DeleteFunc(hosts, func(h string) bool {
		was := seen[h]
		seen[h] = true
		return was
	})
}
