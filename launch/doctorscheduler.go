package launch

import "context"

// CheckScheduler tells which scheduler's job this is, and whether what it says makes sense here.
func (d Doctor) CheckScheduler() []Finding {
	const outside = "run copper on a compute node of the job"
	a, err := FindAllocation(d.Getenv)
	job := string(a.Scheduler) + " job " + a.ID
	var findings []Finding
	switch {
	case a.ID == "":
		return []Finding{fine("no PBS or Slurm job: copper launch starts daemons on this host only")}
	case CheckID(a.ID) != nil:
		return []Finding{problem("name the job by --job", "the scheduler's %v", CheckID(a.ID))}
	case err != nil:
		findings = append(findings, warning(outside, "%s: %v", job, err))
	case RankOn(a.Hosts, d.Finder.Host) < 0:
		findings = append(findings, warning(outside, "%s of %s (%s), and this host, %s, is none of them", job, count(len(a.Hosts), "host"), few(a.Hosts), d.Finder.Host))
	default:
		findings = append(findings, fine("%s of %s, this one among them", job, count(len(a.Hosts), "host")))
	}
	if down := a.Down(context.Background()); len(down) > 0 { // has a bound of its own
		findings = append(findings, warning("copper launch --exclude starts without them", "the scheduler says that hosts of the job are down: %s", few(down)))
	}
	if pbs, slurm := d.Getenv("PBS_JOBID"), d.Getenv("SLURM_JOB_ID"); pbs != "" && slurm != "" {
		findings = append(findings, warning("unset the variables of the one that is not meant", "both PBS_JOBID=%s and SLURM_JOB_ID=%s are set; PBS counts", pbs, slurm))
	}
	return findings
}
