package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrDead is a mount whose daemon is gone.
var ErrDead = errors.New("its daemon is gone")

// errHung is a mount that did not answer in time.
var errHung = errors.New("does not answer")

const (
	probeBound     = 10 * time.Second // for a mount that may be dead
	readinessBound = time.Minute      // for a new mount, whose first answer may come from a busy PFS
	exitDead       = 3                // of the probing child
)

// Look asks the mount at point and may hang as long as it does: only for a child process made for
// it. fresh tells that the mount is new. An old one must be asked what no kernel cache can answer;
// a new one can spare the PFS that, since nothing is cached yet.
func Look(point string, fresh bool) error {
	var err error
	if fresh {
		var st unix.Stat_t
		err = unix.Stat(point, &st)
	} else {
		var st unix.Statfs_t
		err = unix.Statfs(point, &st)
	}
	switch {
	case err == unix.ENOTCONN:
		return ErrDead
	case err != nil:
		return fmt.Errorf("%s: %w", point, err)
	}
	return nil
}

// LookExitCode is the exit code by which the child tells what [Look] returned.
func LookExitCode(err error) int {
	if errors.Is(err, ErrDead) {
		return exitDead
	}
	return ExitCode(err)
}

// tester is test(1), which is everywhere and starts several times faster than copper does.
const tester = "/usr/bin/test"

// Probe asks the mount at point through `program probe`, a child that is killed when it takes too
// long. The error is [ErrDead] for a mount without a daemon. A fresh mount, which there is every reason
// to expect an answer of, is first asked through test(1): many may start on one node.
func Probe(ctx context.Context, program, point string, fresh bool) error {
	args, bound := []string{"probe"}, probeBound
	if fresh {
		args, bound = append(args, "--fresh"), readinessBound
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	// Without an environment it looks for no libraries where ours came from: on the PFS.
	if fresh && runChild(ctx, &exec.Cmd{Path: tester, Args: []string{"test", "-d", point}, Env: []string{}}) == nil {
		return nil
	}
	err := runChild(ctx, exec.Command(program, append(args, "--", point)...))
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == exitDead:
		return ErrDead
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%s %w within %v", point, errHung, bound)
	}
	return err
}

// Visit lets `program visit` look at the paths of a manifest below the mount at point, so that the
// kernel knows them. The child is killed when ctx ends.
func Visit(ctx context.Context, program, point string, manifest io.Reader) error {
	cmd := exec.Command(program, "visit", "--", point)
	cmd.Stdin = manifest
	return runChild(ctx, cmd)
}

// runChild runs a child that may hang in the kernel, until ctx ends.
func runChild(ctx context.Context, cmd *exec.Cmd) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	// Not exec.CommandContext: a child that hangs in the kernel can't always be killed, and then
	// nobody may wait for it.
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(stderr.String()), err)
		}
		return nil
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGKILL)
		return ctx.Err()
	}
}
