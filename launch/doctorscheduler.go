package launch

import (
	"fmt"
	"os"
	"strings"
)

// CheckScheduler tells which scheduler's job this is, and whether what it says makes sense here.
func (d Doctor) CheckScheduler() []Finding {
	pbs, slurm := d.Getenv("PBS_JOBID"), d.Getenv("SLURM_JOB_ID")
	id := SchedulerID(d.Getenv)
	if id == "" {
		return []Finding{fine("no PBS or Slurm job: copper launch starts daemons on this host only")}
	}
	if err := CheckID(id); err != nil {
		return []Finding{problem("name the job by --job", "the scheduler's %v", err)}
	}
	var findings []Finding
	switch {
	case pbs != "":
		findings = d.pbs(id)
	default:
		findings = d.slurm(id)
	}
	if pbs != "" && slurm != "" {
		findings = append(findings, warning("unset the variables of the one that is not meant", "both PBS_JOBID=%s and SLURM_JOB_ID=%s are set; PBS counts", pbs, slurm))
	}
	return findings
}

const outside = "run copper on a compute node of the job"

func (d Doctor) pbs(id string) []Finding {
	file := d.Getenv("PBS_NODEFILE")
	if file == "" {
		return []Finding{warning("copper wants to run within the job, where PBS sets it", "PBS job %s, but PBS_NODEFILE is not set", id)}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return []Finding{problem(outside, "PBS job %s, but its list of hosts can't be read: %v", id, err)}
	}
	var hosts []string
	here := false
	for line := range strings.Lines(string(content)) {
		if host, _, _ := strings.Cut(strings.TrimSpace(line), "."); host != "" {
			hosts = append(hosts, host)
			here = here || host == d.Finder.Host
		}
	}
	hosts = unique(hosts)
	if !here {
		return []Finding{warning(outside, "PBS job %s of %s (%s), and this host, %s, is none of them", id, count(len(hosts), "host"), few(hosts), d.Finder.Host)}
	}
	return []Finding{fine("PBS job %s of %s, this one among them", id, count(len(hosts), "host"))}
}

func (d Doctor) slurm(id string) []Finding {
	job := "Slurm job " + id
	if nodes := d.Getenv("SLURM_JOB_NUM_NODES"); nodes != "" {
		job += fmt.Sprintf(" of %s nodes", nodes)
	}
	switch node, _, _ := strings.Cut(d.Getenv("SLURMD_NODENAME"), "."); node {
	case d.Finder.Host:
		return []Finding{fine("%s, this one among them", job)}
	case "":
		return []Finding{warning(outside+" (srun)", "%s, but this shell does not run on a node of it", job)}
	default:
		return []Finding{warning("unset what was carried over from another node", "%s, but SLURMD_NODENAME=%s and this host is %s", job, node, d.Finder.Host)}
	}
}
