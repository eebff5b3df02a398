package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
)

// interruptedAt is a writer that interrupts a process, as Ctrl-C does, when it has been told something.
type interruptedAt struct {
	mu      sync.Mutex
	out     bytes.Buffer
	when    string
	process *os.Process
}

func (w *interruptedAt) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.out.Write(b)
	if w.when != "" && strings.Contains(w.out.String(), w.when) {
		w.when = ""
		_ = w.process.Signal(os.Interrupt)
	}
	return n, err
}

// interruption is a place for a job of which commands are interrupted.
type interruption struct {
	*testing.T
	copper, dir string
	env         []string
}

func interruptions(t *testing.T, mpi string) *interruption {
	return &interruption{t, binary(t, mpi), t.TempDir(), append(os.Environ(), cluster.MPIEnvironment()...)}
}

// run runs copper until its end, and interrupts it when it says a word, soon for "soon".
func (i *interruption) run(when string, args ...string) (code int, out, said string) {
	i.Helper()
	cmd := exec.Command(i.copper, append(args, "-d", i.dir+"/jobs")...)
	stdout, stderr := &interruptedAt{when: when}, &interruptedAt{when: when}
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = i.env, stdout, stderr, time.Second
	stdout.mu.Lock() // until there is a process to be interrupted
	stderr.mu.Lock()
	err := cmd.Start()
	stdout.process, stderr.process = cmd.Process, cmd.Process
	stdout.mu.Unlock()
	stderr.mu.Unlock()
	if err != nil {
		i.Fatal(err)
	}
	if when == "soon" {
		time.AfterFunc(20*time.Millisecond, func() { _ = cmd.Process.Signal(os.Interrupt) })
	}
	bound := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // its code is looked at
	if !bound.Stop() {
		i.Fatalf("copper %q does not end: %s", args, stderr.out.String())
	}
	code = cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() { // before it minded
		code = 128 + int(status.Signal())
	}
	return code, stdout.out.String(), stderr.out.String()
}

func (i *interruption) nothingLeft() {
	i.Helper()
	await(i.T, "the processes to end", func() bool { return exec.Command("pgrep", "-f", "copper.* "+i.dir).Run() != nil })
	if left := mountsBelow(i.T, i.dir, "fuse.copper"); len(left) > 0 {
		i.Errorf("still mounted: %v", left)
	}
	if left, _ := filepath.Glob(i.dir + "/mnt*"); len(left) > 0 {
		i.Errorf("left: %v", left)
	}
}

// TestInterrupted: Ctrl-C ends a command at whatever it is, with the exit code for that and a word on what is left.
// What launch has begun is undone.
func TestInterrupted(t *testing.T) {
	for mpi := range launchers {
		for _, when := range []string{"starting 2 daemons", "the first of 2 daemons runs", "2 daemons connected", "1 of 2 mounts"} {
			t.Run(mpi+"/launch/"+when, func(t *testing.T) {
				t.Parallel()
				i := interruptions(t, mpi)
				code, out, said := i.run(when, "launch", "--nodes", "2", "--target", "/etc", "-v", i.dir+"/mnt{rank}")
				if strings.Contains(out, "is ready") || strings.Contains(said, "2 of 2 mounts") && code != 130 { // it was faster
					if code, out, said = i.run("", "stop"); code != 0 {
						t.Errorf("stop: exit code %d: %s%s", code, out, said)
					}
				} else if strings.Contains(said, when) && (code != 130 || !strings.Contains(said, "interrupted: ending what was started")) {
					t.Errorf("exit code %d: %s%s", code, out, said)
				}
				i.nothingLeft()
				if code, _, said := i.run("", "launch", "--nodes", "2", "--target", "/etc", "-v", i.dir+"/mnt{rank}"); code != 0 {
					t.Errorf("the next launch: exit code %d: %s", code, said)
				}
				i.run("", "stop")
				i.nothingLeft()
			})
		}
	}
	t.Run("a launcher that starts nothing", func(t *testing.T) {
		t.Parallel()
		i := interruptions(t, "copper")
		if err := os.WriteFile(i.dir+"/mpirun.openmpi", []byte("#!/bin/bash\n[ $1 != --version ] || { echo Open MPI; exit; }\nexec -a \"copper $0\" sleep 600\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		i.env = append(i.env, "PATH="+i.dir+":"+os.Getenv("PATH"))
		code, _, said := i.run("starting 2 daemons", "launch", "--nodes", "2", "--target", "/etc", "-v", i.dir+"/mnt{rank}")
		if code != 130 || !strings.Contains(said, "copper: interrupted; logs are in "+i.dir) {
			t.Errorf("exit code %d: %s", code, said)
		}
		i.nothingLeft()
	})
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		i := interruptions(t, "copper")
		if code, _, said := i.run("waiting for a job", "wait"); code != 130 || !strings.Contains(said, "interrupted; the job is as it was") {
			t.Errorf("wait: exit code %d: %s", code, said)
		}
		code, out, said := i.run("outputs are in", "launch", "--nodes", "1", "--target", "/etc", "-v", i.dir+"/mnt", "-s", "600")
		if code != 130 || !strings.Contains(out, "is ready") || !strings.Contains(said, "runs: copper stop ends it") {
			t.Errorf("the sleep of launch: exit code %d: %s%s", code, out, said)
		}
		if code, _, said := i.run("", "status"); code != 0 {
			t.Errorf("status: exit code %d: %s", code, said)
		}
		if code, _, said := i.run("soon", "stop"); code != 0 && code != 130 {
			t.Errorf("stop: exit code %d: %s", code, said)
		}
		if code, _, said := i.run("", "stop"); code != 0 && !strings.Contains(said, "no Copper job is running") {
			t.Errorf("stop once more: exit code %d: %s", code, said)
		}
		i.nothingLeft()
	})
}
