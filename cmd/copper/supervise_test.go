package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/launch"
)

// TestDaemonDies: whatever a daemon dies of, another one serves at the same place, and the job can be
// stopped as ever.
func TestDaemonDies(t *testing.T) {
	for name, c := range map[string]struct {
		sig  syscall.Signal
		logs []string
	}{
		"killed":  {syscall.SIGKILL, []string{"the daemon died", "signal: killed"}},
		"crashed": {syscall.SIGQUIT, []string{"the daemon died", "exit status 2", "its last words: SIGQUIT: quit"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.launch()
			before := p.status().Nodes[0]
			if before.Restarts != 0 || before.Supervisor == 0 || before.Supervisor == before.PID {
				t.Errorf("at first: %+v", before)
			}
			kill(t, before.PID, c.sig)
			await(t, "a new daemon's mount", func() bool {
				got, err := p.read("sub/file")
				return got == "content" && err == nil && p.status().Nodes[0].PID != before.PID
			})
			after := p.status().Nodes[0]
			if after.Restarts != 1 || after.Supervisor != before.Supervisor {
				t.Errorf("after the restart: %+v", after)
			}
			if text := p.must("status"); !strings.Contains(text, "started again 1 time;") {
				t.Errorf("status does not tell of the restart:\n%s", text)
			}
			await(t, "the log to tell", func() bool { return strings.Contains(p.logs(), "a new daemon serves") })
			for _, want := range c.logs {
				if !strings.Contains(p.logs(), want) {
					t.Errorf("the log lacks %q:\n%s", want, p.logs())
				}
			}
			p.must("stop")
			p.nothingLeft()
			for _, pid := range []int{before.Supervisor, after.PID} {
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && len(arguments(pid)) > 0 {
					t.Errorf("process %d still runs: %v", pid, err)
				}
			}
		})
	}
}

// arguments are "" for a process that has ended, even if init has not waited for it yet.
func arguments(pid int) string {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(content)
}

// TestStopDuringRestart: a job is stopped in order while its daemon is down, and nothing comes back.
func TestStopDuringRestart(t *testing.T) {
	p := newPlace(t)
	p.launch()
	for range 2 { // the second restart takes a moment
		n := p.status().Nodes[0]
		kill(t, n.PID, syscall.SIGKILL)
		await(t, "the daemon to be gone", func() bool { return arguments(n.PID) == "" })
	}
	if out := p.must("stop"); !strings.Contains(out, "1 of 1 nodes told their counters") {
		t.Errorf("stop did not wait for the daemon:\n%s", out)
	}
	p.nothingLeft()
}

// TestSupervisorDies: its daemon ends in order and tidies up in its place.
func TestSupervisorDies(t *testing.T) {
	p := newPlace(t)
	p.launch()
	n := p.status().Nodes[0]
	kill(t, n.Supervisor, syscall.SIGKILL)
	await(t, "the daemon to end", func() bool { return arguments(n.PID) == "" })
	p.nothingLeft()
	if !strings.Contains(p.logs(), "the supervisor was killed: ending") {
		t.Errorf("log:\n%s", p.logs())
	}
	if code, _, stderr := p.copper("status"); code != 1 || !strings.Contains(stderr, "its daemons are gone") {
		t.Errorf("status: exit code %d, %s", code, stderr)
	}
}

func daemonPID(t *testing.T, status string) int {
	t.Helper()
	var s launch.Status
	if err := json.Unmarshal([]byte(status), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Nodes) == 0 {
		return 0 // killed while it was asked
	}
	return s.Nodes[0].PID
}

// TestCrashLoop: a daemon that dies again and again stays down at last. That is no failure of the step,
// in which other nodes go on.
func TestCrashLoop(t *testing.T) {
	p := newPlace(t)
	requireFUSE(t)
	cmd := p.command("serve", "--target", p.target, "-v", p.mount)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // does nothing when it has ended
	p.must("wait")
	deaths, last := 0, 0
	await(t, "the supervisor to give up", func() bool {
		if code, out, _ := p.copper("status", "--json"); code == 0 {
			if pid := daemonPID(t, out); pid != 0 && pid != last {
				last = pid
				deaths++
				kill(t, pid, syscall.SIGKILL)
			}
		}
		return arguments(cmd.Process.Pid) == ""
	})
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	if want := launch.DefaultRestartPolicy.Most + 1; deaths != want {
		t.Errorf("%d deaths, want %d", deaths, want)
	}
	if text := stderr.String(); !strings.Contains(text, "died again after 5 restarts in 10m0s: it stays down; the other nodes go on") {
		t.Errorf("stderr: %s", text)
	}
	if !strings.Contains(p.logs(), "FATAL") || !strings.Contains(p.logs(), "it stays down") {
		t.Errorf("log:\n%s", p.logs())
	}
	p.nothingLeft()
}
