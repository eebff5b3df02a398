package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors that a daemon finds open.
const (
	channelFD  = 3 // to its supervisor
	beneathFD  = 4 // the directory beneath its mount
	listenerFD = 5 // where its peers connect, and those that follow it
)

const (
	chargeBound  = 30 * time.Second // for a daemon to read its charge
	orderlyBound = 8 * time.Second  // for a daemon to unmount and end after SIGTERM
	heldBound    = time.Second      // for the channel of a dead daemon, which another process may hold
	stderrBound  = 200 * time.Millisecond
)

// report is what a daemon answers to its charge, once.
type report struct {
	Error    string `json:"error,omitempty"` // why it can't serve; "": its mount answers
	BadInput bool   `json:"bad_input,omitempty"`
}

func (r report) err() error {
	switch {
	case r.Error == "":
		return nil
	case r.BadInput:
		return BadInput("%s", r.Error)
	}
	return errors.New(r.Error)
}

// incarnation is one run of a daemon, as its supervisor sees it.
type incarnation struct {
	cmd     *exec.Cmd
	channel *os.File // while it is open, the daemon knows that its supervisor lives
	words   *lastWords
	reports chan report   // one at most
	beats   atomic.Int64  // signs of life since the report
	ended   chan struct{} // closed when the process has been waited for
}

// spawn starts a daemon and gives it its charge. Its end of the channel and the listeners are then
// the daemon's alone, so that both break when it dies.
func spawn(program string, args []string, charge any, beneath *os.File, listeners []*os.File, stderr io.Writer) (*incarnation, error) {
	ours, theirs, err := channelPair()
	if err != nil {
		return nil, fmt.Errorf("channel to the daemon: %w", err)
	}
	defer func() { _ = theirs.Close() }()
	c := &incarnation{
		channel: ours, words: &lastWords{to: stderr},
		reports: make(chan report, 1), ended: make(chan struct{}),
	}
	c.cmd = &exec.Cmd{
		Path: program, Args: args, Stdout: os.Stdout, Stderr: c.words,
		ExtraFiles: append([]*os.File{theirs, beneath}, listeners...),
		WaitDelay:  stderrBound, // a probe that hangs may hold it for ever
		// What a launcher or a terminal sends to the supervisor's group is the supervisor's to
		// pass on: the daemon must have the time to unmount.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := c.cmd.Start(); err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	briefed := make(chan struct{})
	go func() {
		defer close(briefed)
		c.brief(charge)
	}()
	go func() {
		_ = c.cmd.Wait() // the process's state tells
		select {
		case <-briefed: // what it said last has been read
		case <-time.After(heldBound):
		}
		_ = ours.Close()
		close(c.ended)
	}()
	return c, nil
}

// channelPair makes the two ends of a channel that no other process inherits.
func channelPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // so that Close ends a Read
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "channel to the daemon"), os.NewFile(uintptr(fds[1]), "channel to the supervisor"), nil
}

// brief gives the daemon its charge, waits for its report, then counts its beats. Where that fails the
// daemon is dead or as good as dead, which others notice.
func (c *incarnation) brief(charge any) {
	_ = c.channel.SetWriteDeadline(time.Now().Add(chargeBound))
	if err := json.NewEncoder(c.channel).Encode(charge); err != nil {
		return
	}
	var r report
	told := json.NewDecoder(io.LimitReader(c.channel, maxRequest))
	if err := told.Decode(&r); err != nil {
		return
	}
	c.reports <- r
	for beat := make([]byte, 64); ; c.beats.Add(1) {
		if _, err := c.channel.Read(beat); err != nil {
			return
		}
	}
}

// ready returns when the daemon's mount answers, or with the reason for which it won't.
func (c *incarnation) ready(ctx context.Context, bound time.Duration) error {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case r := <-c.reports:
		return r.err()
	case <-c.ended:
	case <-timer.C:
		return fmt.Errorf("the daemon did not report within %v", bound)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case r := <-c.reports: // and ended at once
		if r.Error != "" {
			return r.err()
		}
	default:
	}
	return fmt.Errorf("the daemon died during its start: %s", c.how())
}

// orderly tells of a daemon that it has ended and meant to.
func (c *incarnation) orderly() bool { return c.endedWithin(0) && c.cmd.ProcessState.Success() }

// how is how the daemon ended, if it has.
func (c *incarnation) how() string {
	if !c.endedWithin(0) {
		return "it hangs and can't be killed"
	}
	return c.cmd.ProcessState.String()
}

func (c *incarnation) pid() int { return c.cmd.Process.Pid }

// end ends the daemon in bounded time: by a signal that lets it unmount, and if it does not react by
// force, before which abort frees those who wait for its mount.
func (c *incarnation) end(patience time.Duration, abort func(), log *slog.Logger) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
	_ = c.cmd.Process.Signal(syscall.SIGCONT) // a stopped process ends only when it goes on
	if c.endedWithin(patience) {
		return
	}
	log.Warn("the daemon does not end by itself: killing it", "pid", c.pid())
	c.kill(abort, log)
}

// kill ends the daemon by force, after abort has freed those who wait for its mount: it may wait for
// that itself.
func (c *incarnation) kill(abort func(), log *slog.Logger) {
	abort()
	_ = c.cmd.Process.Kill()
	if !c.endedWithin(killBound) {
		log.Error("the daemon can't be killed: it waits within the kernel", "pid", c.pid())
	}
}

func (c *incarnation) endedWithin(bound time.Duration) bool {
	select {
	case <-c.ended:
		return true
	default:
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-c.ended:
		return true
	case <-timer.C:
		return false
	}
}
