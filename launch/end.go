package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	termBound     = 20 * time.Second // for a daemon to unmount and end after SIGTERM
	killBound     = 5 * time.Second
	launcherBound = 5 * time.Second // for the launcher to see that its ranks have ended
	launcherKill  = 5 * time.Second // and to end by a signal; mpirun takes two
	leftBound     = 2 * time.Second // for what it has started to notice
	endPoll       = 50 * time.Millisecond

	sentPrefix = "sent " // begins a line about a signal to a daemon
)

// End ends what runs of a job by signals, on this host and on those that can be reached, and removes
// what it leaves: for a job whose daemons do not listen, or not yet. It returns a line for each thing
// that it did or could not do.
// silent are the hosts that gave no sign of life.
func (f Finder) End(ctx context.Context, job *Job, mounts Mounts) (report, silent []string) {
	sent, said := f.endDaemons(ctx, job)
	report = append(report, said...)
	// Before the launcher, some of which end their ranks without giving them time to unmount.
	said, silent = f.sweepOthers(ctx, job.State.ID, job.State.shortHosts())
	report = append(report, said...)
	var patience time.Duration // with the launcher
	if sent || slices.ContainsFunc(said, func(line string) bool { return strings.Contains(line, ": "+sentPrefix) }) {
		patience = launcherBound
	}
	report = append(report, f.endLauncher(ctx, job, patience)...)
	return append(report, CleanNode(ctx, f.Bases, job.State.ID, mounts)...), silent
}

// endLauncher ends the launcher, which has some time to do so by itself, and what it leaves.
func (f Finder) endLauncher(ctx context.Context, job *Job, patience time.Duration) (report []string) {
	launcher, err := job.Dir.readLauncher()
	if err != nil {
		return []string{err.Error()}
	}
	if !launcher.running(f.Host) {
		return nil
	}
	step := brood{launcher.PID: launcher.Born}
	ended := func() bool {
		step.look()
		return !launcher.running(f.Host)
	}
	for _, sig := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
		bound := patience
		if sig != 0 {
			bound = launcherKill
			report = append(report, fmt.Sprintf("sent %s to the launcher, process %d", signalName(sig), launcher.PID))
			_ = syscall.Kill(launcher.PID, sig)
		}
		if await(ctx, bound, ended) {
			break
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if await(ctx, leftBound, func() bool { step.look(); return len(step.alive()) == 0 }) {
			break
		}
		report = append(report, step.signal(sig)...)
	}
	return report
}

// endDaemons ends the job's daemons on this host; sent tells whether there were any.
func (f Finder) endDaemons(ctx context.Context, job *Job) (sent bool, report []string) {
	daemons := f.daemons(job)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		now := false
		for _, p := range daemons {
			for _, line := range p.signal(sig) {
				sent, now = true, true
				report = append(report, line)
			}
		}
		bound := termBound
		if sig == syscall.SIGKILL {
			bound = killBound
		}
		if !now || await(ctx, bound, func() bool { return f.ended(daemons) }) {
			break
		}
	}
	return sent, report
}

// signal sends sig to the supervisor, which passes on what asks for an orderly end and would start
// again a daemon that is killed without it, or to what runs of the rank without one. It returns a line
// for each process.
func (f *Footprint) signal(sig syscall.Signal) (report []string) {
	pids := f.processes()
	if sig != syscall.SIGKILL && len(pids) > 0 {
		pids = pids[:1]
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			report = append(report, fmt.Sprintf("process %d (rank %d): %v", pid, f.Rank, err))
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGCONT) // a stopped process ends only when it goes on
		report = append(report, fmt.Sprintf(sentPrefix+"%s to process %d (rank %d)", signalName(sig), pid, f.Rank))
	}
	return report
}

func signalName(s syscall.Signal) string {
	if s == syscall.SIGKILL {
		return "SIGKILL"
	}
	return "SIGTERM"
}

func (f Finder) ended(daemons []*Footprint) bool {
	for _, p := range daemons {
		if p.alive() {
			return false
		}
	}
	return true
}

// await polls until done, for no longer than bound, and returns done's last word.
func await(ctx context.Context, bound time.Duration, done func() bool) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	tick := time.NewTicker(endPoll)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-tick.C:
		case <-timer.C:
			return done()
		case <-ctx.Done():
			return done()
		}
	}
}
