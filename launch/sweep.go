package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What a host prints, after its name, when it begins to be swept and when that is done.
const (
	Reached = "is reached"
	Swept   = "is swept"
)

// sweep is what came of a step that sweeps hosts.
type sweep struct {
	said   []string // lines, beside signs of life
	silent []string // hosts that gave no sign of life
	gaveUp bool     // on them, after a while; else the launcher ended before
	err    error
}

// sweepBy runs the command, which sweeps hosts. It ends when all hosts have been swept that gave a sign of life
// within reach.
func (f Finder) sweepBy(ctx context.Context, c Command, reach time.Duration, hosts []string) sweep {
	s := sweep{silent: slices.Clone(hosts)}
	ctx, cancel := context.WithTimeout(ctx, sweepBound+reach-reachBound)
	defer cancel()
	cmd, err := c.process()
	if err != nil {
		s.err = err
		return s
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second
	signs := &signs{silent: s.silent}
	cmd.Stdout = signs
	if s.err = cmd.Start(); s.err != nil {
		return s
	}
	kill := func() { _ = cmd.Process.Kill() }
	late := time.AfterFunc(reach, func() { signs.giveUp(kill) })
	stop := context.AfterFunc(ctx, kill)
	err = cmd.Wait()
	stop()
	late.Stop()
	signs.mu.Lock()
	defer signs.mu.Unlock()
	s.said, s.silent, s.gaveUp = signs.said, signs.silent, signs.gaveUp
	var exit *exec.ExitError
	switch {
	case signs.gaveUp && len(s.silent) == 0: // all that matters was done
		err = nil
	case signs.gaveUp:
		err = fmt.Errorf("no sign of life within %v", reach.Round(time.Second))
	case errors.As(err, &exit) || ctx.Err() != nil:
		err = fmt.Errorf("%s: %w: %s", c.Args[0], errors.Join(err, ctx.Err()), lastLine(said.String()))
	}
	s.err = err
	return s
}

// signs is what the hosts of a sweep have printed.
type signs struct {
	mu       sync.Mutex
	said     []string
	silent   []string
	sweeping int    // hosts that have begun and not ended
	part     []byte // of a line
	kill     func() // to be called when no host is being swept any more; nil: not yet
	gaveUp   bool   // the silent are not waited for
}

// Write implements io.Writer, for the standard output of the launcher.
func (s *signs) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = append(s.part, b...)
	for {
		line, rest, whole := bytes.Cut(s.part, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		s.part = rest
		s.take(strings.TrimSpace(string(line)))
	}
}

func (s *signs) take(line string) {
	host, what, _ := strings.Cut(line, ": ")
	switch what {
	case Reached:
		s.silent = slices.DeleteFunc(s.silent, func(h string) bool { return shortened(h) == host })
		s.sweeping++
	case Swept:
		s.sweeping--
		s.end()
	default:
		if line != "" {
			s.said = append(s.said, line)
		}
	}
}

// giveUp stops waiting for the hosts that are silent.
func (s *signs) giveUp(kill func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill = kill
	s.end()
}

func (s *signs) end() {
	if s.kill != nil && s.sweeping == 0 {
		s.gaveUp = true
		s.kill()
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
