package launch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	appearPoll = 250 * time.Millisecond
	appearNew  = 5 // jobs looked at while none is there
	// A script starts the step and then waits, so a job that failed this shortly before is the
	// one that is waited for.
	recent = 500 * time.Millisecond
	// A job that failed within lately, with nothing new for patience, is taken for it as well.
	lately   = time.Minute
	patience = 10 * time.Second
)

// StepProcess is the process that a script has started to start a job's daemons, a launcher mostly.
type StepProcess struct {
	pid  int
	born uint64 // 0: it had ended when it was looked for
}

// FindStepProcess is the process with that id, which may have ended already; nil for 0.
func FindStepProcess(pid int) *StepProcess {
	if pid == 0 {
		return nil
	}
	s := &StepProcess{pid: pid}
	if p := readProcess(pid); p != nil {
		s.born = p.born
	}
	return s
}

// ended tells that no daemon will be started any more; false if that can't be told.
func (s *StepProcess) ended() bool {
	if s == nil {
		return false
	}
	p := readProcess(s.pid)
	return p == nil || p.born != s.born
}

// Wait returns when the job that is meant, which may not have begun yet, is ready. step is what starts it, nil if that
// is not known: when it ends, nothing is waited for any more.
func (f Finder) Wait(ctx context.Context, step *StepProcess, timeout time.Duration, p *Progress) (*Job, error) {
	defer p.End()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(appearPoll)
	defer tick.Stop()
	hint := time.AfterFunc(downFirst, func() { // no more: the step may leave those out
		if down := f.Others.down(ctx); len(down) > 0 {
			f.say(few(down) + ": down, says the scheduler; a step that wants it as well may wait for ever")
		}
	})
	defer hint.Stop()
	for {
		gone := step.ended() // before the job is looked for, which may be its last word
		job, err := f.latest()
		if err != nil {
			return nil, err
		}
		live := job != nil && f.alive(job)
		switch {
		case live && job.State.Phase == Ready:
			p.Show(&job.State)
			return job, nil
		case live:
			p.Show(&job.State)
		case job != nil && job.State.Phase == Failed && (failedFor(job.State, began, time.Now()) || gone && job.State.Changed.After(began.Add(-lately))):
			return nil, job.State.Err()
		case job != nil && job.State.Phase.Running() && job.State.Started.After(began.Add(-recent)):
			// Written after it was read, or its daemons were killed.
			if again, err := job.Dir.ReadState(); err == nil && again != nil && again.Phase == job.State.Phase {
				return nil, fmt.Errorf("%s", f.describe(job))
			}
		case gone:
			return nil, f.none(fmt.Sprintf("process %d, which was to start one, has ended, and what it said tells why", step.pid))
		default:
			p.Show(nil)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, f.waited(job, live, timeout, ctx.Err())
		}
	}
}

// failedFor tells whether a failed job is the one that was waited for since began.
func failedFor(s State, began, now time.Time) bool {
	return s.Started.After(began.Add(-recent)) ||
		s.Changed.After(began.Add(-lately)) && now.Sub(began) > patience
}

// latest is the job that is meant, or the newest one, running or not; nil if there is none.
func (f Finder) latest() (*Job, error) {
	if f.ID != "" {
		return f.read(f.ID)
	}
	jobs, err := f.newest(appearNew)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	return jobs[0], nil
}

func (f Finder) waited(job *Job, live bool, timeout time.Duration, cause error) error {
	within := fmt.Sprintf("within %v", timeout)
	if errors.Is(cause, context.Canceled) {
		within = "until interrupted"
	}
	switch {
	case live:
		return fmt.Errorf("job %s is %s: not every mount answered %s", job.State.ID, job.State.Phase, within)
	case job != nil:
		return f.none(fmt.Sprintf("none appeared %s; the last one: %s", within, f.describe(job)))
	}
	return f.none("none appeared " + within)
}
