package faults

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper starts a process and waits for it in the end.
func sleeper(t *testing.T) (pid int, ended chan error) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() {
		ended <- cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	return cmd.Process.Pid, ended
}

// is waits until a process is in one of some states.
func is(t *testing.T, pid int, states string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s := state(pid)
		if s != 0 && strings.IndexByte(states, s) >= 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is %c, want one of %s", pid, s, states)
		}
	}
}

// TestProcesses: each fault of processes strikes those that it should, and can be mended.
func TestProcesses(t *testing.T) {
	const stopped, runs = "T", "SR"
	for _, kind := range []Kind{Kill, Dead, Gone, Stop, Slow} {
		t.Run(string(kind), func(t *testing.T) {
			var n Node
			var daemonEnded, supervisorEnded chan error
			n.Daemon, daemonEnded = sleeper(t)
			n.Supervisor, supervisorEnded = sleeper(t)
			mend, err := kind.Strike(n)
			if err != nil {
				t.Fatal(err)
			}
			if kind.Restarts() || kind == Gone {
				if err := <-daemonEnded; err == nil || !strings.Contains(err.Error(), "killed") {
					t.Errorf("the daemon: %v", err)
				}
			} else {
				is(t, n.Daemon, stopped)
			}
			switch kind {
			case Dead:
				is(t, n.Supervisor, stopped)
			case Gone:
				if err := <-supervisorEnded; err == nil {
					t.Error("the supervisor ended by itself")
				}
			default:
				is(t, n.Supervisor, runs)
			}
			if err := mend(); err != nil {
				t.Fatal(err)
			}
			if kind != Gone {
				is(t, n.Supervisor, runs)
			}
			if kind == Stop || kind == Slow {
				is(t, n.Daemon, runs)
			}
		})
	}
}

// TestNothingToBreak: a fault that can't be played is an error, and nothing lasts of it.
func TestNothingToBreak(t *testing.T) {
	pid, ended := sleeper(t)
	supervisor, _ := sleeper(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ended
	for _, kind := range []Kind{Kill, Dead, Stop, Slow, Garbage} {
		if _, err := kind.Strike(Node{Daemon: pid, Supervisor: supervisor}); err == nil {
			t.Errorf("%s of a process that is gone can be played", kind)
		}
		is(t, supervisor, "SR")
	}
	if _, err := Cut.Strike(Node{Daemon: supervisor}); err == nil || Cut.Suits(Node{}) {
		t.Errorf("a cut without a network: %v", err)
	}
}

// TestGarbage: where a daemon listened, there is noise.
func TestGarbage(t *testing.T) {
	for _, scheme := range []string{"tcp", "ofi+tcp"} {
		t.Run(scheme, func(t *testing.T) { garbage(t, scheme) })
	}
}

func garbage(t *testing.T, scheme string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	n := Node{Endpoints: []string{scheme + "://" + addr}}
	n.Daemon, _ = sleeper(t)
	n.Supervisor, _ = sleeper(t)
	mend, err := Garbage.Strike(n)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadAtLeast(conn, make([]byte, 64<<10), 1); n == 0 {
			t.Errorf("no noise: %v", err)
		}
		conn.Close()
	}
	if err := mend(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("somebody listens there still")
	}
}
