package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	followPoll = 50 * time.Millisecond
	// The scheduler is asked for hosts that are down when the hosts have not met for so long, and again.
	downFirst = 3 * time.Second
	downPoll  = 10 * time.Second
	// failBound is for the ranks to end by themselves after one of them failed.
	failBound = 10 * time.Second
	tailLines = 10 // of the launcher's log, where nothing else tells why
)

// Start is one start of a job in the background.
type Start struct {
	Finder   Finder // its ID is the new job's
	Command  Command
	Timeout  time.Duration // until every mount answers
	Mounts   Mounts
	Progress *Progress
}

// Run starts the command, detached from this process, and returns when every mount answers. When
// that fails nothing is left mounted or running, as far as it can be reached from this host; the
// error then says why, and for cleaned things that were not left in order what was done.
func (s *Start) Run(ctx context.Context) (*State, error) {
	if job, err := s.Finder.Find(); err == nil {
		return nil, BadInput("job %s is running already (%s): copper stop ends it", job.State.ID, job.Dir)
	}
	for _, line := range CleanNode(ctx, s.Finder.Bases, "", s.Mounts) {
		fmt.Fprintln(s.Progress.Out, "copper:", line)
	}
	dir := JobDirOf(s.Finder.Base, s.Finder.ID)
	if err := dir.Make(); err != nil {
		return nil, err
	}
	for _, old := range []string{dir.stateFile(), dir.launcherFile()} { // of an ended job of this id
		if err := os.Remove(old); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ended, logged, err := s.start(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("not every mount answered within %v", s.Timeout))
	defer cancel()
	ctx, down := context.WithCancelCause(ctx)
	defer down(nil)
	go s.watchHosts(ctx, dir, down)
	state, err := s.follow(ctx, dir, ended, logged)
	s.Progress.End()
	if err == nil {
		return state, nil
	}
	if IsInterrupted(err) {
		fmt.Fprintln(s.Progress.Out, "copper: interrupted: ending what was started")
	}
	return nil, s.abandon(dir, state, ended, err)
}

// watchHosts ends the start, by down, when the scheduler says that hosts are down which the launcher waits for: Slurm's
// does so for ever. It asks only while the hosts have not met, and not at once.
func (s *Start) watchHosts(ctx context.Context, dir JobDir, down func(error)) {
	for wait := downFirst; ; wait = downPoll {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if state, err := dir.ReadState(); err != nil || state != nil && state.Phase != Starting {
			return
		}
		if hosts := s.Finder.Others.down(ctx); len(hosts) > 0 {
			down(fmt.Errorf("%s: the scheduler says that it is down, as of %s", few(hosts), time.Now().Format(time.TimeOnly)))
			return
		}
	}
}

// start starts the launcher in a session of its own; ended is closed when it has ended. What it
// says goes to its log, where this start's part begins at offset logged.
func (s *Start) start(dir JobDir) (ended <-chan struct{}, logged int64, err error) {
	log, err := os.OpenFile(dir.LauncherLog(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil {
		logged = info.Size()
	}
	cmd, err := s.Command.process()
	if err != nil {
		return nil, 0, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start %s: %w", s.Command.Args[0], err)
	}
	r := launcherRecord{PID: cmd.Process.Pid, Host: s.Finder.Host, Started: time.Now(), Command: s.Command.String()}
	if p := readProcess(r.PID); p != nil {
		r.Born = p.born
	}
	done := make(chan struct{})
	go reap(cmd, done)
	return done, logged, dir.writeLauncher(r)
}

func reap(cmd *exec.Cmd, done chan<- struct{}) {
	_ = cmd.Wait() // what its end means, the state file says
	close(done)
}

// follow returns when the job is ready, or an error; the state is the last one seen.
func (s *Start) follow(ctx context.Context, dir JobDir, ended <-chan struct{}, logged int64) (*State, error) {
	tick := time.NewTicker(followPoll)
	defer tick.Stop()
	for gone := false; ; {
		state, err := dir.ReadState()
		if err != nil {
			return nil, err
		}
		s.Progress.Show(state)
		switch {
		case state != nil && state.Phase == Ready:
			return state, nil
		case state != nil && state.Phase == Failed:
			return state, state.Err()
		case gone:
			return state, fmt.Errorf("the launcher ended before every mount answered%s", tail(dir.LauncherLog(), logged))
		}
		select {
		case <-ended:
			gone = true // but the state may have been written just before
		case <-tick.C:
		case <-ctx.Done():
			return state, context.Cause(ctx)
		}
	}
}

// abandon removes what a failed start left, and returns why it failed with what had to be done.
func (s *Start) abandon(dir JobDir, state *State, ended <-chan struct{}, why error) error {
	ctx := context.Background() // the caller's may be what ended
	job := &Job{Dir: dir, State: State{ID: s.Finder.ID}}
	if state != nil {
		job.State = *state
		if state.Phase == Failed {
			select {
			case <-ended:
				s.Finder.Others = nil // every rank has tidied up
			case <-time.After(failBound):
			}
		}
	}
	report, silent := s.Finder.End(ctx, job, s.Mounts)
	for _, line := range report {
		fmt.Fprintln(s.Progress.Out, "copper:", line)
	}
	if named := strings.Join(silent, ","); named != "" {
		if len(silent) > sweepSingly {
			named = "HOSTS"
		}
		why = fmt.Errorf("%w; %s showed no sign of life: launch --exclude %s starts without", why, few(silent), named)
	}
	if code := ExitCode(why); code != ExitBadInput {
		return fmt.Errorf("%w; logs are in %s", why, dir.Logs())
	}
	return why
}

// tail is the end of a log from offset on, to be put after a line; "" if there is nothing.
func tail(path string, offset int64) string {
	content, err := os.ReadFile(path)
	if err != nil || int64(len(content)) < offset {
		return ""
	}
	var lines []string
	for line := range strings.Lines(string(content[offset:])) {
		if line = strings.TrimSpace(line); line != "" && strings.Trim(line, "-=") != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ":\n  " + strings.Join(lines[max(len(lines)-tailLines, 0):], "\n  ")
}
