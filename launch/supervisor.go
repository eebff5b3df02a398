package launch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Supervisor keeps a node's daemon running. It is the process that the job's launcher started, and
// never dies with the daemon, its child: a launcher may end the whole step when a child of its own
// dies. It is no part of the data path. All fields must be set.
type Supervisor struct {
	Program string   // path of the daemon's binary
	Args    []string // its arguments, the program's name first
	// Charge is what a daemon is told that is started for the time after restarts others. It is
	// sent as JSON through a channel that nobody else can read: secrets may be in it.
	Charge func(restarts int) any
	// Listen makes the listening sockets that the next daemon takes over, if there are any. Nobody else holds
	// them: while there is no daemon, its peers are refused at once and ask others.
	Listen func() ([]*os.File, error)
	// Beneath is the directory that the daemon mounts upon, opened before anything was mounted there.
	Beneath *os.File
	// Started is told the process id of each daemon.
	Started func(pid int)
	// Abort ends all requests to the mount of a daemon that does not answer them.
	Abort func()
	// Drop takes away the mount that a daemon left, if it left one.
	Drop func() error
	// Stopping tells whether the job is being stopped: no daemon is started again then.
	Stopping func() bool
	Timeout  time.Duration // for a daemon's mount to answer
	Hung     time.Duration // without a sign of life, after which a daemon is killed; see [Beat]
	Policy   RestartPolicy
	Log      *slog.Logger
	Stderr   io.Writer // for what daemons say there

	now      func() time.Time                     // nil: time.Now
	after    func(time.Duration) <-chan time.Time // nil: time.After
	patience time.Duration                        // with a daemon that is to end; 0: orderlyBound

	restarts restarts
	mu       sync.Mutex
	current  *incarnation // nil: there is none
}

// Start starts the first daemon and returns when its mount answers. After an error nothing is left
// of it but what the error tells.
func (s *Supervisor) Start(ctx context.Context) error {
	s.restarts.policy = s.Policy
	if s.now == nil {
		s.now, s.after = time.Now, time.After
	}
	s.patience = cmp.Or(s.patience, orderlyBound)
	err := s.start(ctx)
	if err != nil {
		err = errors.Join(err, s.End())
	}
	return err
}

// start starts a daemon. After an error there may be a part of it left.
func (s *Supervisor) start(ctx context.Context) error {
	listeners, err := s.Listen()
	if err != nil {
		return err
	}
	c, err := spawn(s.Program, s.Args, s.Charge(s.restarts.total), s.Beneath, listeners, s.Stderr)
	for _, l := range listeners {
		_ = l.Close()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.current = c
	s.mu.Unlock()
	s.Started(c.pid())
	return c.ready(ctx, s.Timeout)
}

// End ends the daemon, if there is one, and takes its mount away, within some 20 s. The error is
// that of Drop.
func (s *Supervisor) End() error {
	if c := s.take(); c != nil {
		c.end(s.patience, s.Abort, s.Log)
	}
	return s.Drop()
}

// Run watches the daemon that [Supervisor.Start] started, and starts another one when it dies or
// hangs. It returns nil when the daemon has ended in order, by itself or because ctx is done, and an error
// when it has died too often. What is left of it is for [Supervisor.End].
func (s *Supervisor) Run(ctx context.Context) error {
	for {
		if !s.watch(ctx, s.current) {
			return nil
		}
		began := s.now()
		s.mourn()
		switch err := s.restart(ctx); {
		case ctx.Err() != nil || errors.Is(err, errStopping):
			return nil
		case err != nil:
			return err
		}
		s.Log.Info("a new daemon serves", "pid", s.current.pid(), "after", s.now().Sub(began), "restarts", s.restarts.total)
	}
}

// watch returns true when the daemon has died, or has been killed because it hung, and false when it
// has ended in order or ctx is done.
func (s *Supervisor) watch(ctx context.Context, c *incarnation) (died bool) {
	// Looks are counted, not time: a supervisor that gets no time itself must not hold that against
	// the daemon, and where both were stopped, both go on.
	look := time.NewTicker(Beat(s.Hung))
	defer look.Stop()
	corpse := time.NewTicker(corpseLook)
	defer corpse.Stop()
	for beats, silent := c.beats.Load(), 0; ; {
		select {
		case <-c.ended:
			return !c.orderly()
		case <-ctx.Done():
			return false
		case <-corpse.C:
			if readProcess(c.pid()) == nil {
				s.Abort() // one of its threads may wait for the kernel, which waits for an answer of the daemon
			}
			continue
		case <-look.C:
		}
		if now := c.beats.Load(); now != beats {
			beats, silent = now, 0
		} else if silent++; silent == beatsMissed {
			s.Log.Error("the daemon gives no sign of life: killing it", "pid", c.pid(), "for", s.Hung)
			c.kill(s.Abort, s.Log)
			return true
		}
	}
}

// corpseLook is how often it is looked whether the daemon was killed and has not ended all the same.
const corpseLook = 250 * time.Millisecond

// beatsMissed in a row make a hung daemon.
const beatsMissed = 10

// Beat is how often a daemon must tell that it lives if it counts as hung after that long.
func Beat(hung time.Duration) time.Duration { return hung / beatsMissed }

// toldBound is for a daemon that was started while the job was being stopped to be told.
const toldBound = 15 * time.Second

// errStopping: the job is being stopped.
var errStopping = errors.New("the job is being stopped")

// restart returns when a new daemon's mount answers, or with the reason for which there won't be one.
func (s *Supervisor) restart(ctx context.Context) error {
	for {
		if s.Stopping() {
			return errStopping
		}
		pause, ok := s.restarts.next(s.now())
		if !ok {
			return fmt.Errorf("the daemon died again after %v: it stays down", s.Policy)
		}
		select {
		case <-s.after(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		err := s.start(ctx)
		switch {
		case err == nil && s.Stopping():
			// The daemon was started too late to be told, unless it is the one that tells the others.
			select {
			case <-s.current.ended:
			case <-s.after(toldBound):
			case <-ctx.Done():
			}
			return errStopping
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		s.Log.Error("the daemon could not be started again", "error", err)
		s.bury()
	}
}

// mourn logs what is known of the daemon's end, and frees those who wait for it.
func (s *Supervisor) mourn() {
	s.Log.Error("the daemon died", "pid", s.current.pid(), "how", s.current.how())
	for _, line := range s.current.words.lines() {
		s.Log.Error("its last words: " + line)
	}
	s.Abort()
}

// bury ends what there is of a daemon that could not be started. Its mount stays, until the next
// daemon replaces it or nobody will: a dead mount is an error to those who look, an empty directory
// would tell them that their files do not exist.
func (s *Supervisor) bury() {
	c := s.take()
	if c == nil {
		return
	}
	c.end(s.patience, s.Abort, s.Log)
	for _, line := range c.words.lines() {
		s.Log.Error("its last words: " + line)
	}
}

// take makes the caller responsible for the current daemon's end.
func (s *Supervisor) take() *incarnation {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.current
	s.current = nil
	return c
}
