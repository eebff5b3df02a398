package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/launch"
)

// Strace is a strace that works here.
type Strace struct {
	path string
	fast bool // with a filter in the kernel: what is not told costs nothing
}

// arguments come before the command, output after -o.
func (s Strace) arguments(output string) []string {
	args := []string{"-f", "-qq", "-y", "-s", "0", "-e", "signal=none", "-e", filter, "-o", output}
	if s.fast {
		args = append(args, "--seccomp-bpf")
	}
	return append(args, "--")
}

// Find finds a strace that works here. The error is a [launch.InputError] that says what to do.
func Find() (Strace, error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return Strace{}, launch.BadInput("copper advise needs strace, which is not in PATH: `module load strace` where there is one, or have it installed "+
			"(Debian: apt-get install strace; SUSE: zypper install strace). Without it LD_DEBUG=files COMMAND shows the shared libraries, and python3 -v the modules: %w", err)
	}
	for _, fast := range []bool{true, false} {
		s := Strace{path, fast}
		var out []byte
		out, err = exec.Command(path, append(s.arguments(os.DevNull), "/bin/sh", "-c", ":")...).CombinedOutput()
		if err == nil {
			return s, nil
		}
		err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(string(out)), " "))
	}
	return Strace{}, launch.BadInput("strace can't trace here, not even a process of your own (%w): a container may forbid it (docker run --cap-add SYS_PTRACE), "+
		"or the system (/proc/sys/kernel/yama/ptrace_scope %s); try a login or compute node", err, scope())
}

func scope() string {
	b, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		return "is not there"
	}
	return "is " + strings.TrimSpace(string(b))
}

// Run runs a command with this process's standard streams and passes every access of it and of what it
// starts to see, in order, from another goroutine; it returns when all have ended. A signal that ends
// this process otherwise goes to the command. status is as a shell tells it: 128 and the signal's number for a
// command that a signal ended.
func (s Strace) Run(args []string, see func(Access)) (status int, err error) {
	if _, err := exec.LookPath(args[0]); err != nil {
		return 0, launch.BadInput("%w", err)
	}
	start, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "copper-advise-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fifo := filepath.Join(dir, "strace")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		return 0, fmt.Errorf("%s: %w", fifo, err)
	}
	// For reading, then for writing: neither waits, and the end comes when the writer here is closed, unless
	// strace still writes.
	reader, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	writer, err := os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer writer.Close()

	cmd := exec.Command(s.path, append(s.arguments(fifo), args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	t := newTracer(start, see)
	command := make(chan int, 1) // the command's process
	read := make(chan error, 1)
	go func() { read <- follow(reader, t, command) }()
	ended := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() { pass(signals, command, ended) })
	failed := cmd.Wait()
	close(ended)
	passing.Wait()
	writer.Close()
	if err := <-read; err != nil {
		return 0, fmt.Errorf("reading what strace tells: %w", err)
	}
	if t.first == 0 {
		return 0, fmt.Errorf("strace told nothing of %s", args[0])
	}
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		return 0, failed
	}
	return exitStatus(cmd.ProcessState), nil
}

func exitStatus(p *os.ProcessState) int {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.ExitCode()
}

// longestLine bounds a line of strace, in bytes: two paths of the greatest length, escaped.
const longestLine = 1 << 20

// follow passes strace's lines to t until there are no more.
func follow(r io.Reader, t *tracer, command chan<- int) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), longestLine)
	told := false
	for scanner.Scan() {
		t.line(scanner.Text())
		if !told && t.first != 0 {
			command <- t.first
			told = true
		}
	}
	if err := scanner.Err(); err != nil {
		_, _ = io.Copy(io.Discard, r) // so that strace and the command can go on
		return err
	}
	return nil
}

// pass passes signals on to the command, which strace does not. What the terminal sends, it sends to the
// command too.
func pass(signals <-chan os.Signal, command <-chan int, ended <-chan struct{}) {
	pid := 0
	var early []os.Signal
	send := func(s os.Signal) {
		if (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground() {
			return
		}
		if number, ok := s.(syscall.Signal); ok {
			_ = unix.Kill(pid, number)
		}
	}
	for {
		select {
		case s := <-signals:
			if pid == 0 {
				early = append(early, s)
				continue
			}
			send(s)
		case pid = <-command:
			for _, s := range early {
				send(s)
			}
			command = nil
		case <-ended:
			return
		}
	}
}

// inForeground tells whether a terminal's keys send signals to this process's group.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
