package fuse

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// talk starts cmd and returns functions that write a line to it and read a line from it.
func talk(t *testing.T, cmd *exec.Cmd) (in func(string), out func() string) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(stdout)
	return func(line string) {
			_, err := io.WriteString(stdin, line+"\n")
			must(t, err)
		}, func() string {
			line, err := lines.ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return strings.TrimSpace(line)
		}
}

// stalled starts a helper whose lstat of /dir/slow waits for the Source.
func stalled(t *testing.T, o Options) (m *Mount, cmd *exec.Cmd, out func() string, resume func()) {
	t.Helper()
	tree := newTree(t)
	tree.Write("/dir/slow", nil)
	o.Source = tree
	m, mnt := mount(t, o)
	runHelper(t, "stat", mnt+"/dir")
	resume = tree.Stall("lstat", "/dir/slow")
	cmd = helperCommand("wait-stat", mnt+"/dir/slow")
	_, out = talk(t, cmd)
	if line := out(); line != "ready" {
		t.Fatal(line)
	}
	eventually(t, "the lookup", func() bool { return tree.Count("lstat", "/dir/slow") == 1 })
	return m, cmd, out, resume
}

func interrupted(m *Mount) bool { return m.Stats().Requests["INTERRUPT"] == 1 }

func TestCaughtSignalWaitsForTheAnswer(t *testing.T) {
	m, cmd, out, resume := stalled(t, Options{})
	must(t, cmd.Process.Signal(syscall.SIGUSR1))
	eventually(t, "INTERRUPT", func() bool { return interrupted(m) })
	resume()
	if line := out(); line != "ok" {
		t.Errorf("lstat: %s, want ok", line)
	}
	must(t, cmd.Wait())
}

// The answer EINTR would be SIGBUS here.
func TestCaughtSignalInAPageFault(t *testing.T) {
	tree := newTree(t)
	tree.Write("/library", []byte("content"))
	m, mnt := mount(t, Options{Source: tree})
	resume := tree.Stall("read", "/library")
	cmd := helperCommand("wait-fault", mnt+"/library")
	_, out := talk(t, cmd)
	if line := out(); line != "ready" {
		t.Fatal(line)
	}
	eventually(t, "the read", func() bool { return tree.Count("read", "/library") == 1 })
	must(t, cmd.Process.Signal(syscall.SIGUSR1))
	eventually(t, "INTERRUPT", func() bool { return interrupted(m) })
	resume()
	if line := out(); line != "c" {
		t.Errorf("the mapped byte: %q, want c", line)
	}
	must(t, cmd.Wait())
}

func TestFatalSignalEndsTheCaller(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			tree := newTree(t)
			tree.Write("/slow", nil)
			_, mnt := mount(t, Options{Source: tree})
			resume := tree.Stall("lstat", "/slow")
			cmd := exec.Command("stat", mnt+"/slow")
			must(t, cmd.Start())
			eventually(t, "the lookup", func() bool { return tree.Count("lstat", "/slow") == 1 })
			must(t, cmd.Process.Signal(sig))
			_ = cmd.Wait()
			if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != sig {
				t.Errorf("ended by %v, want %v", status.Signal(), sig)
			}
			resume() // only now: nobody answered before
		})
	}
}

func TestFatalSignalAfterAHarmlessOne(t *testing.T) {
	m, cmd, _, resume := stalled(t, Options{})
	must(t, cmd.Process.Signal(syscall.SIGUSR1))
	eventually(t, "INTERRUPT", func() bool { return interrupted(m) })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v", status.Signal())
	}
	resume()
}

func TestDeadline(t *testing.T) {
	_, cmd, out, resume := stalled(t, Options{Deadline: 50 * time.Millisecond})
	defer resume()
	if line := out(); line != "ETIMEDOUT" {
		t.Errorf("lstat: %s, want ETIMEDOUT", line)
	}
	must(t, cmd.Wait())
}

func TestUnmountWithAStuckRequest(t *testing.T) {
	m, cmd, out, resume := stalled(t, Options{})
	defer resume()
	must(t, m.Unmount())
	m.Wait()
	if line := out(); line == "ok" {
		t.Error("lstat succeeded; nobody answered it")
	}
	must(t, cmd.Wait())
	must(t, m.Unmount()) // again
}

func TestUnmountWhileInUse(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("content"))
	m, mnt := mount(t, Options{Source: tree})
	abort := fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", m.connection)
	if _, err := os.Stat(abort); os.Geteuid() != 0 && err != nil {
		t.Skip("what is in use can't be aborted: not root, and", err)
	}
	cmd := exec.Command("sh", "-c", `cd "$1"; echo in; read line; cat file`, "sh", mnt)
	in, out := talk(t, cmd)
	if line := out(); line != "in" {
		t.Fatal(line)
	}
	must(t, m.Unmount())
	in("go on")
	if err := cmd.Wait(); err == nil {
		t.Error("the file could be read after the unmount")
	}
}

func TestUnmountedBySomebodyElse(t *testing.T) {
	m, mnt := mount(t, Options{Source: newTree(t)})
	run(t, exec.Command("fusermount3", "-u", mnt))
	m.Wait()
	m.Changed("/") // nobody is there to be told
	must(t, m.Unmount())
}

func TestChangedDoesNotWait(t *testing.T) {
	m, cmd, out, resume := stalled(t, Options{})
	m.Changed("/dir/slow") // the kernel holds the directory's lock until the lookup is answered
	m.Changed("/dir")
	m.ChangedAll()
	resume()
	if line := out(); line != "ok" {
		t.Errorf("lstat: %s", line)
	}
	must(t, cmd.Wait())
	flush(t, m)
}

// TestCtrlCOfARead: who waits for bytes that do not come ends at once by a signal that ends it, and
// no goroutine is left of its request.
func TestCtrlCOfARead(t *testing.T) {
	before := runtime.NumGoroutine()
	tree := newTree(t)
	tree.Write("/slow", []byte("content"))
	m, mnt := mount(t, Options{Source: tree})
	resume := tree.Stall("read", "/slow")
	defer resume()                          // only then: nobody answers before
	cmd := exec.Command("cat", mnt+"/slow") // not a Go program, which catches SIGINT
	must(t, cmd.Start())
	eventually(t, "the read", func() bool { return tree.Count("read", "/slow") > 0 })
	must(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGINT {
		t.Errorf("ended by %v", status.Signal())
	}
	must(t, m.Unmount())
	m.Wait()
	eventually(t, "all goroutines of the mount and the request to end", func() bool { return runtime.NumGoroutine() <= before })
}

// TestAlarms: a program that an alarm interrupts again and again, with or without SA_RESTART, gets its
// answer and no EINTR, and so does one to which the runtime sends SIGURG all the time.
func TestAlarms(t *testing.T) {
	for _, signals := range []string{"SIGALRM", "SIGALRM without SA_RESTART", "SIGURG"} {
		t.Run(signals, func(t *testing.T) {
			tree := newTree(t)
			const files = 20
			for i := range files {
				tree.Write(fmt.Sprint("/dir/", i), []byte("content"))
			}
			m, mnt := mount(t, Options{Source: tree})
			resume := tree.Stall("lstat", "/dir/7")
			resumeRead := tree.Stall("read", "/dir/11")
			cmd := helperCommand("stormed", signals, mnt+"/dir", fmt.Sprint(files))
			_, out := talk(t, cmd)
			if line := out(); line != "ready" {
				t.Fatal(line)
			}
			eventually(t, "a request that is interrupted", func() bool { return m.Stats().Requests["INTERRUPT"] > 0 })
			resume()
			eventually(t, "the stalled read", func() bool { return tree.Count("read", "/dir/11") > 0 })
			resumeRead()
			if line := out(); line != "ok" {
				t.Errorf("the program met: %s", line)
			}
			must(t, cmd.Wait())
		})
	}
}
