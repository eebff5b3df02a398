package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CheckJob asks the job that is meant, if one is running, for the health of all its nodes.
func (d Doctor) CheckJob(ctx context.Context) []Finding {
	job, err := d.Finder.Find()
	var none *NoJobError
	switch {
	case errors.As(err, &none):
		return []Finding{fine("%v", err)}
	case err != nil:
		return []Finding{problem("look at the file that it names", "%v", err)}
	}
	if hosts := d.Finder.Elsewhere(job); hosts != "" {
		return []Finding{fine("job %s runs on %s and not on this host: run copper doctor there", job.State.ID, hosts)}
	}
	var findings []Finding
	for _, f := range d.Finder.daemons(job) {
		if pid, state := notRunning(f.processes(), 'T', 't'); pid != 0 {
			findings = append(findings, problem(fmt.Sprintf("kill -CONT %d lets it go on; copper stop --job %s ends the job", pid, job.State.ID),
				"rank %d of job %s: process %d %s", f.Rank, job.State.ID, pid, state))
		}
	}
	status, err := d.Finder.Status(ctx, job, false)
	if err != nil {
		return append(findings, problem("copper stop ends what runs of it on this host; its logs are in "+job.Dir.Logs(), "%v", err))
	}
	return append(findings, status.health()...)
}

// health judges what the nodes of a job say.
func (s Status) health() []Finding {
	logs := "its log is in " + s.Dir.Logs()
	t := s.Totals
	answer := fmt.Sprintf("job %s is %s: %d of %d nodes answer", s.Job, s.State, t.Nodes, t.Nodes+t.Missing)
	if t.Failovers+t.DirectReads+t.Hedges > 0 {
		answer += fmt.Sprintf("; %d questions went on to another node, %d were hedged, %d went to the PFS directly", t.Failovers, t.Hedges, t.DirectReads)
	}
	findings := []Finding{fine("%s", answer)}
	if t.Missing > 0 {
		var missing []string
		for _, m := range s.Missing {
			missing = append(missing, fmt.Sprintf("rank %d on %s (%s)", m.Rank, m.Host, m.Error))
		}
		findings[0] = problem("the others go on without it; "+logs, "%s; not %s", answer, few(missing))
	}
	if lines := s.Cluster.suspicions(); len(lines) > 0 {
		findings = append(findings, warning("others are asked in its stead; look at that node", "%s", few(lines)))
	}
	who := func(n NotedNode) string { return fmt.Sprintf("rank %d on %s", n.Rank, n.Host) }
	restarted := s.Cluster.Restarted.lines(func(n NotedNode) string { return fmt.Sprintf("%s %s", who(n), count(int(n.Value), "time")) })
	full := s.Cluster.Full.lines(who)
	var tried int64
	for _, n := range s.Cluster.Full.Nodes {
		tried = max(tried, n.Value)
	}
	if restarted != nil {
		findings = append(findings, warning("why, the logs tell: "+s.Dir.Logs(), "a daemon died and was started again: %s", few(restarted)))
	}
	if full != nil {
		findings = append(findings, warning("if nodes have memory to spare, start with --memory of more than "+Bytes(tried),
			"the memory budget is full, so that some things are asked for again: %s", few(full)))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Cluster.Lacking)) {
		lack := s.Cluster.Lacking[name]
		hosts := unique(lack.On.lines(func(n NotedNode) string { return n.Host }))
		findings = append(findings, lacking("the kernel of "+few(hosts), KernelStatus{Features: []KernelFeature{lack.KernelFeature}})...)
	}
	return findings
}
