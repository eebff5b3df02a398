package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/launch"
)

// said is what a process has written so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestStatusWatch: a watch for programs ends with the job, one for people ends with Ctrl-C and leaves the terminal
// as it was.
func TestStatusWatch(t *testing.T) {
	p := newPlace(t)
	p.launch()

	// For programs.
	lines := p.command("status", "--watch=100ms", "--json")
	var out said
	lines.Stdout, lines.Stderr = &out, &out
	if err := lines.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lines.Process.Kill() })

	// For people.
	terminal, fd, theirs := pseudoTerminal(t, 60, 15)
	before, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	view := p.command("status", "--watch=100ms")
	view.Env = append(view.Env, "TERM=xterm")
	view.Stdin, view.Stdout, view.Stderr = theirs, theirs, theirs
	view.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := view.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = view.Process.Kill() })
	var seen said
	read := make(chan struct{})
	go func() {
		defer close(read)
		for buffer := make([]byte, 4096); ; {
			n, err := terminal.Read(buffer)
			_, _ = seen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = terminal.Close(); <-read })

	await(t, "the view", func() bool { return strings.Contains(seen.String(), "ready, 1 of 1 nodes") })
	if _, err := p.read("sub/file"); err != nil {
		t.Fatal(err)
	}
	await(t, "the view to follow", func() bool { return strings.Contains(seen.String(), "7 B; now") })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: 30, Row: 5}); err != nil {
		t.Fatal(err)
	}
	await(t, "the view to follow the terminal's size", func() bool {
		return strings.Contains(seen.String(), "copper local-") && strings.Contains(seen.String(), "..\x1b[0m")
	})
	if _, err := terminal.Write([]byte("x\x03")); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if err := view.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	after, err := unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal was %+v and is %+v, %v", before, after, err)
	}
	await(t, "the terminal", func() bool { return strings.HasSuffix(seen.String(), "\x1b[?25h\x1b[?1049l") })
	if n := strings.Count(seen.String(), "\x1b[?1049h"); n != 1 {
		t.Errorf("the terminal was taken %d times", n)
	}

	await(t, "some lines", func() bool { return strings.Count(out.String(), "\n") > 1 })
	p.must("stop")
	if err := lines.Wait(); err != nil {
		t.Errorf("the watch ends with the job: %v\n%s", err, out.String())
	}
	var last launch.Status
	all := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range all {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
	}
	if last.State != launch.Stopped || last.Totals.Nodes != 1 || last.Totals.ReadBytes != 7 {
		t.Errorf("the last of %d lines: %s, %+v", len(all), last.State, last.Totals)
	}
}

// pseudoTerminal returns both ends of a terminal: that of who looks at it, with its descriptor, and that of programs.
func pseudoTerminal(t *testing.T, width, height uint16) (ours *os.File, fd int, theirs *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) // so that Close ends a Read
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ours = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
	return ours, fd, theirs
}
