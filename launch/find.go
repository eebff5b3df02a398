package launch

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Job is a job that was found.
type Job struct {
	Dir   JobDir
	State State
}

// NoJobError says that no job is running that the caller could have meant.
type NoJobError struct {
	Base string // directory of all jobs
	ID   string // of the job that was asked for, "" for any
	Why  string
	// Failed: the job that was asked for never became ready.
	Failed bool
}

func (e *NoJobError) Error() string {
	return fmt.Sprintf("no Copper job is running under %s (%s)", e.Base, e.Why)
}

// Finder finds jobs by their state files under Base.
type Finder struct {
	Base  string   // directory of all jobs
	ID    string   // of the job that is meant, "" for the newest
	Host  string   // this host's short name
	Bases []string // of control directories
	// Others reaches the hosts that the job has beside this one when its daemons do not answer; nil:
	// nothing does.
	Others *Others
	// Say is told, in a line, what takes its time; nil: nobody is.
	Say func(line string)
}

// maxSearched bounds how many jobs are looked at for the newest one alive.
const maxSearched = 200

// Find returns the job that is meant, if it is running.
func (f Finder) Find() (*Job, error) {
	if f.ID != "" {
		job, err := f.read(f.ID)
		switch {
		case err != nil:
			return nil, err
		case job == nil:
			return nil, f.none(fmt.Sprintf("there is no job %s", f.ID))
		case !f.alive(job):
			return nil, &NoJobError{Base: f.Base, ID: f.ID, Why: f.describe(job), Failed: job.State.Phase == Failed}
		}
		return job, nil
	}
	jobs, err := f.newest(maxSearched)
	if err != nil {
		return nil, err
	}
	for _, job := range jobs {
		if f.alive(job) {
			return job, nil
		}
	}
	if len(jobs) == 0 {
		return nil, f.none("there has been none yet; -d names another directory")
	}
	return nil, f.none("the last one: " + f.describe(jobs[0]))
}

func (f Finder) none(why string) error { return &NoJobError{Base: f.Base, ID: f.ID, Why: why} }

// read returns nil if there is no such job.
func (f Finder) read(id string) (*Job, error) {
	dir := JobDirOf(f.Base, id)
	s, err := dir.ReadState()
	if s == nil || err != nil {
		return nil, err
	}
	return &Job{Dir: dir, State: *s}, nil
}

// newest are up to limit jobs under Base, the newest first. What is not a job is passed over.
func (f Finder) newest(limit int) ([]*Job, error) {
	entries, err := os.ReadDir(f.Base)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	type dated struct {
		name string
		time time.Time
	}
	var dirs []dated
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && CheckID(e.Name()) == nil {
			dirs = append(dirs, dated{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(dirs, func(a, b dated) int { return b.time.Compare(a.time) })
	var jobs []*Job
	for _, d := range dirs[:min(len(dirs), limit)] {
		if job, err := f.read(d.name); job != nil && err == nil {
			jobs = append(jobs, job)
		}
	}
	slices.SortStableFunc(jobs, func(a, b *Job) int { return b.State.Started.Compare(a.State.Started) })
	return jobs, nil
}

// alive tells whether a daemon of the job runs on this host, or, for a job that has none here,
// whether it is not known to have ended.
func (f Finder) alive(job *Job) bool {
	here := job.State.On(f.Host)
	for _, p := range f.daemons(job) {
		if p.alive() {
			return true
		}
	}
	launcher, err := job.Dir.readLauncher()
	if err == nil && launcher.running(f.Host) {
		return job.State.Phase != Stopped && job.State.Phase != Failed
	}
	return len(here) == 0 && job.State.Phase.Running() && (launcher == nil || launcher.Host != f.Host)
}

// Elsewhere tells the hosts of a job that has no daemon on this host; "" if it has.
func (f Finder) Elsewhere(job *Job) string {
	if len(job.State.On(f.Host)) > 0 || len(job.State.Ranks) == 0 {
		return ""
	}
	hosts := []string{job.State.Ranks[0].Host}
	if last := job.State.Ranks[len(job.State.Ranks)-1].Host; last != hosts[0] {
		hosts = append(hosts, "…", last)
	}
	return strings.Join(hosts, " ")
}

// daemons are the processes of the job on this host: those that left a footprint, which is sure,
// and those that the state file names.
func (f Finder) daemons(job *Job) []*Footprint {
	var found []*Footprint
	known := map[int]bool{os.Getpid(): true} // a daemon's own process id may be in an old state file
	for _, p := range footprints(f.Bases, "") {
		known[p.PID] = known[p.PID] || p.alive()
		if p.Job == job.State.ID {
			found = append(found, p)
			known[p.PID] = true
		}
	}
	for _, r := range job.State.On(f.Host) {
		if !known[r.PID] {
			found = append(found, &Footprint{Job: job.State.ID, Rank: r.Rank, PID: r.PID, Dir: job.Dir, Mount: r.Mount})
		}
	}
	return found
}

func (f Finder) describe(job *Job) string {
	when := job.State.Changed.Local().Format(time.DateTime)
	switch s := job.State; s.Phase {
	case Stopped:
		return fmt.Sprintf("job %s was stopped at %s", s.ID, when)
	case Failed:
		return fmt.Sprintf("job %s failed at %s: %s", s.ID, when, s.Error)
	default:
		if job.Dir.Stopping() { // but rank 0 was not there any more to write it
			return fmt.Sprintf("job %s was stopped", s.ID)
		}
		return fmt.Sprintf("job %s was %s at %s, but its daemons are gone", s.ID, s.Phase, when)
	}
}
