package trace

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/copper-hpc/copper/launch"
)

func TestMain(m *testing.M) {
	if args := os.Getenv("TRACE_RUN"); args != "" { // as a child of a test
		s, err := Find()
		if err != nil {
			panic(err)
		}
		status, err := s.Run(strings.Split(args, "\x1f"), func(Access) {})
		if err != nil {
			panic(err)
		}
		os.Exit(status)
	}
	goleak.VerifyTestMain(m)
}

func find(t *testing.T) Strace {
	t.Helper()
	s, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRun: what a command and its children do is told, and its exit code is passed on.
func TestRun(t *testing.T) {
	s := find(t)
	if !s.fast {
		t.Log("strace has no --seccomp-bpf here")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, `an "odd" <name>, with (all)`)
	if err := os.WriteFile(odd, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Strace{s, {s.path, false}} {
		seen := map[Access]bool{}
		status, err := s.Run([]string{"sh", "-c", `cd "$1" && (cat "$2" - </dev/null >copy; ls nothing; exit 3)`, "sh", dir, filepath.Base(odd)}, func(a Access) { seen[a] = true })
		if err != nil || status != 3 {
			t.Errorf("status %d, %v", status, err)
		}
		for _, want := range []Access{
			{Op: Open, Path: odd, Real: odd, Size: -1}, {Op: Read, Path: odd, Bytes: 7, Size: -1}, {Op: Change, Path: filepath.Join(dir, "copy"), Size: -1},
		} {
			if !seen[want] {
				t.Errorf("%+v is not told", want)
			}
		}
		missed := false
		for a := range seen {
			missed = missed || a.Path == filepath.Join(dir, "nothing") && a.Missed()
		}
		if !missed {
			t.Error("what was not there is not told")
		}
	}
}

// TestSignals: what would end this process ends the command, in its own manner.
func TestSignals(t *testing.T) {
	find(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "TRACE_RUN="+strings.Join([]string{"sh", "-c", `trap 'exit 9' TERM INT; echo; while :; do sleep 0.05; done`}, "\x1f"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a terminal
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		guard := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		guard.Stop()
		if code := cmd.ProcessState.ExitCode(); code != 9 {
			t.Errorf("%v: exit code %d", sig, code)
		}
	}
	s := find(t)
	if status, err := s.Run([]string{"sh", "-c", "kill -KILL $$"}, func(Access) {}); status != 128+9 || err != nil {
		t.Errorf("killed: status %d, %v", status, err)
	}
}

func TestRunNothing(t *testing.T) {
	s := find(t)
	if _, err := s.Run([]string{"no-such-command"}, func(Access) {}); launch.ExitCode(err) != launch.ExitBadInput {
		t.Error(err)
	}
}

// TestFindNothing: what is missing or forbidden is told, with what to do.
func TestFindNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := Find(); launch.ExitCode(err) != launch.ExitBadInput || !strings.Contains(err.Error(), "apt-get install strace") {
		t.Error(err)
	}
	forbidden := "#!/bin/sh\necho 'strace: do_test_ptrace_get_syscall_info: PTRACE_TRACEME: Operation not permitted' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "strace"), []byte(forbidden), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(); launch.ExitCode(err) != launch.ExitBadInput || !strings.Contains(err.Error(), "Operation not permitted") || !strings.Contains(err.Error(), "ptrace_scope") {
		t.Error(err)
	}
}
