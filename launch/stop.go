package launch

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	stopBound    = 2 * time.Minute  // for the control channel
	afterBound   = 20 * time.Second // for processes to end and mounts to go after the answer
	restartBound = 10 * time.Second // for a daemon that died to be started again
)

// Stop ends a job in order, or by signals where it does not answer. The status is what the daemons
// counted until their end, nil if they did not tell; report is what had to be done or went wrong
// beyond the ordinary, a line each. The error says what is left.
func (f Finder) Stop(ctx context.Context, job *Job, mounts Mounts) (last *Status, report []string, err error) {
	if hosts := f.Elsewhere(job); hosts != "" {
		return nil, nil, fmt.Errorf("job %s runs on %s and not on this host: run copper there", job.State.ID, hosts)
	}
	daemons := f.daemons(job) // before they take their footprints back
	resp, err := f.ask(ctx, job, NewRequest(OpHello))
	// From now on no daemon is started again. Not before one is found that tells the others.
	if err := job.Dir.noteStop(); err != nil {
		report = append(report, fmt.Sprintf("a daemon that is being started again may not learn of the stop: %v", err))
	}
	if err == nil {
		resp, err = f.ask(ctx, job, NewRequest(OpStop))
	}
	if err != nil {
		report = append(report, fmt.Sprintf("job %s does not answer (%v): ending what runs of it on this host by signals", job.State.ID, err))
	} else {
		s, err := Collect(job, resp)
		if err != nil {
			report = append(report, err.Error())
		}
		s.State = Stopped
		last = &s
		report = append(report, s.Cluster.Troubled.lines(func(n NotedNode) string {
			return fmt.Sprintf("rank %d on %s: %s", n.Rank, n.Host, n.Text)
		})...)
		var unheard []string // other hosts
		for _, m := range s.Missing {
			report = append(report, fmt.Sprintf("rank %d on %s did not tell its counters: %s", m.Rank, m.Host, m.Error))
			if m.Host != f.Host {
				unheard = append(unheard, m.Host)
			}
			for _, p := range daemons {
				if p.Rank == m.Rank { // it did not hear of the stop, or not by this way
					report = append(report, p.signal(syscall.SIGTERM)...)
				}
			}
		}
		report = append(report, f.afterwards(ctx, job, daemons, unheard)...)
		if f.ended(daemons) {
			report = append(report, CleanNode(ctx, f.Bases, job.State.ID, mounts)...)
			return last, report, f.left(daemons)
		}
		report = append(report, "not every process ended by itself")
	}
	ended, _ := f.End(ctx, job, mounts)
	report = append(report, ended...)
	return last, report, f.left(daemons)
}

// afterwards returns when what was told to end has ended, or is late. Hosts from which nothing was heard are cleared
// meanwhile; the launcher may wait for those for ever, and is ended.
func (f Finder) afterwards(ctx context.Context, job *Job, daemons []*Footprint, unheard []string) (report []string) {
	cleared := make(chan []string, 1)
	go func() {
		var lines []string
		if unheard != nil {
			lines, _ = f.sweepOthers(ctx, job.State.ID, unheard)
		}
		cleared <- lines
	}()
	launcher, err := job.Dir.readLauncher()
	if err != nil {
		report = append(report, err.Error())
	}
	bound := afterBound
	if unheard != nil {
		bound = reachBound // as long as others have, at least, to write what they have counted
	}
	await(ctx, bound, func() bool { return f.ended(daemons) && !launcher.running(f.Host) })
	report = append(report, <-cleared...)
	if f.ended(daemons) {
		report = append(report, f.endLauncher(ctx, job, 0)...)
	}
	return report
}

// Tidy removes what jobs that were killed left: all of them on this host, the finder's on the others
// that can be reached. It returns a line for each thing that it did or could not do.
func (f Finder) Tidy(ctx context.Context, mounts Mounts) []string {
	report := CleanNode(ctx, f.Bases, "", mounts)
	if f.ID == "" {
		return report
	}
	if job, err := f.read(f.ID); err == nil && job != nil && job.State.Phase != Stopped {
		cleared, _ := f.sweepOthers(ctx, f.ID, job.State.shortHosts())
		report = append(report, cleared...)
	}
	return report
}

// left reports what is still there of daemons that were to end.
func (f Finder) left(daemons []*Footprint) error {
	for _, p := range daemons {
		if pids := p.processes(); len(pids) > 0 {
			return fmt.Errorf("process %d (rank %d) did not end", pids[0], p.Rank)
		}
		if fstype, err := mountedAt(p.Mount); p.Mount != "" && err == nil && fstype == FSType {
			return fmt.Errorf("%s is still mounted", p.Mount)
		}
	}
	return nil
}

// restarting tells whether there will be a daemon on this node that can be asked: that there was one,
// and its supervisor lives.
func (f Finder) restarting(job *Job) bool {
	for _, p := range footprints(f.Bases, job.State.ID) {
		if p.DaemonPID != 0 && serves(p.PID, p.Job, p.Born) {
			return true
		}
	}
	return false
}

// ask sends r to the job, which may be told of only by its footprints on this node.
func (f Finder) ask(ctx context.Context, job *Job, r Request) (*Response, error) {
	if hosts := f.Elsewhere(job); hosts != "" {
		return nil, fmt.Errorf("job %s runs on %s and not on this host: run copper there", job.State.ID, hosts)
	}
	ctx, cancel := context.WithTimeout(ctx, stopBound)
	defer cancel()
	resp, err := Ask(ctx, f.Bases, job.State.ID, r)
	await(ctx, restartBound, func() bool {
		died := errors.Is(err, errNoDaemon) || errors.Is(err, errNoAnswer)
		if !died || !f.restarting(job) {
			return true
		}
		resp, err = Ask(ctx, f.Bases, job.State.ID, r)
		return err == nil
	})
	if err == nil && resp.Error != "" {
		err = errors.New(resp.Error)
	}
	if err != nil && job.State.Phase != Ready {
		err = fmt.Errorf("it is %s: %w", job.State.Phase, err)
	}
	return resp, err
}

// Status asks all nodes of a job for their sum, and for each of them too if rows are wanted.
func (f Finder) Status(ctx context.Context, job *Job, rows bool) (*Status, error) {
	r := NewRequest(OpStatus)
	r.Rows = rows
	resp, err := f.ask(ctx, job, r)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", job.State.ID, err)
	}
	s, err := Collect(job, resp)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", job.State.ID, err)
	}
	return &s, nil
}

// Follow is Status for who asks again and again, with what a job has come to since it was found. A *[NoJobError]
// says that it has ended.
func (f Finder) Follow(ctx context.Context, job *Job, rows bool) (*Status, error) {
	f.ID = job.State.ID
	if job.State.Phase != Ready { // when it is, its file is not read again and again
		now, err := f.Find()
		if err != nil {
			return nil, err
		}
		*job = *now
	}
	s, err := f.Status(ctx, job, rows)
	if err != nil && ctx.Err() == nil {
		if _, gone := f.Find(); gone != nil {
			return nil, gone
		}
	}
	if err == nil && job.Dir.Stopping() {
		return nil, errStopping // some nodes have gone already
	}
	return s, err
}

// Clear drops what all nodes of a job know of prefix and below it, "/" for everything. It returns
// the number of table entries dropped; the error names the ranks that did not answer.
//
// It takes two rounds: a node that has dropped something and asks for it again may meet one that has
// not. So all drop it first and keep nothing of it, and only when all have, they drop what came
// meanwhile, tell their kernels, and keep again.
func (f Finder) Clear(ctx context.Context, job *Job, prefix string) (entries int, err error) {
	var errs []error
	for _, op := range []Op{OpHold, OpClear} {
		r := NewRequest(op)
		r.Prefix = prefix
		if err := r.check(); err != nil {
			return 0, BadInput("%w", err)
		}
		resp, err := f.ask(ctx, job, r)
		if err != nil {
			return entries, fmt.Errorf("job %s: %w", job.State.ID, err)
		}
		n, err := resp.cleared()
		entries += n
		errs = append(errs, err)
	}
	return entries, errors.Join(errs...)
}
