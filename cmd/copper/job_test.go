package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/launch"
)

func (p *place) status() launch.Status {
	p.t.Helper()
	var s launch.Status
	if err := json.Unmarshal([]byte(p.must("status", "--json")), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *place) read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(p.mount, name))
	return string(content), err
}

// logs is everything that the ranks of the only job logged.
func (p *place) logs() string {
	p.t.Helper()
	paths, err := filepath.Glob(filepath.Join(p.dir, "jobs", "*", "logs", "*-output.log"))
	if err != nil || len(paths) == 0 {
		p.t.Fatalf("logs: %v, %v", paths, err)
	}
	content, err := os.ReadFile(paths[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

// TestJob: a job of one node, from launch to stop.
func TestJob(t *testing.T) {
	p := newPlace(t)
	p.launch("--memory", "64MiB")
	for name, want := range map[string]string{"sub/file": "content", "link": "content"} {
		if got, err := p.read(name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	s := p.status()
	if len(s.Nodes) != 1 || s.State != launch.Ready || s.Totals.PFSBytes != 7 {
		t.Errorf("status: %+v", s)
	}
	if n := s.Nodes[0]; n.Mount != p.mount || n.Target != p.target || n.Memory.Limit != 64<<20 || n.Requests["READ"] == 0 {
		t.Errorf("status of the node: %+v", n)
	}
	if text := p.must("status"); !strings.Contains(text, "1 of 1 nodes answer") || !strings.Contains(text, p.mount) {
		t.Errorf("status:\n%s", text)
	}
	if ready := p.must("wait"); !strings.Contains(ready, p.mount) {
		t.Errorf("wait: %s", ready)
	}
	if !strings.Contains(p.logs(), "provider registration completed after ") {
		t.Errorf("log:\n%s", p.logs())
	}
	summary := p.must("stop")
	for _, want := range []string{"answered to the kernels", "saved", string(s.Dir)} {
		if !strings.Contains(summary, want) {
			t.Errorf("the closing summary lacks %q:\n%s", want, summary)
		}
	}
	p.nothingLeft()
	// A process that has ended and that init has not waited for yet has no arguments.
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.Nodes[0].PID)); len(args) > 0 {
		t.Errorf("the daemon still runs: %q, %v", args, err)
	}
	if left, _ := filepath.Glob(filepath.Join(launch.ControlBases()[0], s.Job)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if code, _, stderr := p.copper("stop"); code != 1 || !strings.Contains(stderr, "was stopped at") {
		t.Errorf("a second stop: exit code %d, %s", code, stderr)
	}
}

// TestClear: what was cached is asked again, by the kernel too.
func TestClear(t *testing.T) {
	p := newPlace(t)
	p.launch("-E", "3600000")
	if _, err := p.read("sub/late"); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	p.write("sub/late", "there")
	if got, err := p.read("sub/late"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("absence was not remembered: %q, %v", got, err)
	}
	p.must("clear", "/other")
	if got, err := p.read("sub/late"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("clearing something else cleared it: %q, %v", got, err)
	}
	p.must("clear", "/sub")
	if got, err := p.read("sub/late"); got != "there" || err != nil {
		t.Errorf("after clear /sub: %q, %v", got, err)
	}
	if _, err := p.read("later"); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	p.write("later", "there too")
	p.must("clear")
	if got, err := p.read("later"); got != "there too" || err != nil {
		t.Errorf("after clear: %q, %v", got, err)
	}
	if code, _, stderr := p.copper("clear", "sub"); code != 2 || !strings.Contains(stderr, "absolute") {
		t.Errorf("clear sub: exit code %d, %s", code, stderr)
	}
}

// serve starts a bare daemon and returns when its mount answers.
func (p *place) serve() *exec.Cmd {
	p.t.Helper()
	requireFUSE(p.t)
	cmd := p.command("serve", "--target", p.target, "-v", p.mount)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // does nothing when it has ended
		_ = cmd.Wait()
	})
	p.must("wait")
	return cmd
}

// TestServeEnds: a signal, or somebody who unmounts, ends the daemon in order.
func TestServeEnds(t *testing.T) {
	for name, end := range map[string]func(p *place, cmd *exec.Cmd) error{
		"SIGTERM": func(_ *place, cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) },
		"SIGINT":  func(_ *place, cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGINT) },
		"umount":  func(p *place, _ *exec.Cmd) error { return exec.Command("fusermount3", "-u", p.mount).Run() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			cmd := p.serve()
			if got, err := p.read("sub/file"); got != "content" || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			if err := end(p, cmd); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("serve: %v", err)
			}
			p.nothingLeft()
			if code, _, stderr := p.copper("status"); code != 1 || !strings.Contains(stderr, "was stopped") {
				t.Errorf("status: exit code %d, %s", code, stderr)
			}
		})
	}
}

// TestStopBusyMount: somebody who works in the mount does not keep it from ending.
func TestStopBusyMount(t *testing.T) {
	p := newPlace(t)
	p.launch()
	busy := exec.Command("sleep", "600")
	busy.Dir = filepath.Join(p.mount, "sub")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = busy.Process.Kill()
		_ = busy.Wait()
	}()
	p.must("stop")
	p.nothingLeft()
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// TestKilledNode: when a daemon and its supervisor are killed, the dead mount is cleaned away by the next launch at the same place, and by
// that of another job.
func TestKilledNode(t *testing.T) {
	for name, elsewhere := range map[string]bool{"same place": false, "another place": true} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.launch()
			n := p.status().Nodes[0]
			kill(t, n.Supervisor, syscall.SIGSTOP) // so that neither tidies up after the other
			kill(t, n.PID, syscall.SIGKILL)
			kill(t, n.Supervisor, syscall.SIGKILL)
			await(t, "the mount to be dead", func() bool {
				_, err := p.read("sub/none")
				return errors.Is(err, syscall.ENOTCONN)
			})
			await(t, "the supervisor to be gone", func() bool { return arguments(n.Supervisor) == "" })
			if code, _, stderr := p.copper("stop"); code != 1 || !strings.Contains(stderr, "its daemons are gone") {
				t.Errorf("stop: exit code %d, %s", code, stderr)
			}
			next := p
			if elsewhere {
				next = newPlace(t)
			}
			next.launch()
			if got, err := next.read("sub/file"); got != "content" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			next.must("stop")
			p.nothingLeft()
			next.nothingLeft()
		})
	}
}

// TestMountOfALiveJob: a mount point in use is an error that names the job, which lives on.
func TestMountOfALiveJob(t *testing.T) {
	p := newPlace(t)
	p.launch("--job", "first")
	code, _, stderr := p.copper("launch", "--target", p.target, "-v", p.mount, "--job", "second")
	if code != 2 || !strings.Contains(stderr, "in use by job first") {
		t.Errorf("the second job: exit code %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"launch"}, {"serve"}} {
		code, _, stderr := p.copper(append(args, "--target", p.target, "-v", p.mount+"2", "--job", "first")...)
		if code != 2 || !strings.Contains(stderr, "job first is running already") {
			t.Errorf("%s of the same job: exit code %d, %s", args[0], code, stderr)
		}
	}
	if got, err := p.read("sub/file"); got != "content" || err != nil {
		t.Errorf("the first job: %q, %v", got, err)
	}
	p.must("stop")
	p.nothingLeft()
}

// TestDaemonThatHangs: stop ends by signals what does not answer, even if no supervisor does it.
func TestDaemonThatHangs(t *testing.T) {
	p := newPlace(t)
	p.launch("--hung", "1h")
	pid := p.status().Nodes[0].PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := p.copper("stop")
	if code != 0 || !strings.Contains(stderr, "does not answer") || !strings.Contains(stderr, "sent SIGTERM") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	p.nothingLeft()
}

// TestSchedulerJob: inside a scheduler's job its id is the job's, and nothing else is looked at.
func TestSchedulerJob(t *testing.T) {
	requireFUSE(t)
	p := newPlace(t)
	nodeFile := filepath.Join(t.TempDir(), "nodes")
	if err := os.WriteFile(nodeFile, []byte("n1.example\nn1.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inJob := func(args ...string) (int, string, string) {
		cmd := p.command(args...)
		cmd.Env = append(cmd.Env, "PBS_JOBID=4711.n1.example", "PBS_NODEFILE="+nodeFile)
		return p.run(cmd)
	}
	if code, _, stderr := inJob("launch", "--target", p.target, "-v", p.mount); code != 0 {
		t.Fatalf("launch: exit code %d, %s", code, stderr)
	}
	if s := p.status(); s.Job != "4711" || filepath.Base(string(s.Dir)) != "4711" {
		t.Errorf("job %s in %s", s.Job, s.Dir)
	}
	if code, _, stderr := inJob("stop"); code != 0 {
		t.Errorf("stop: exit code %d, %s", code, stderr)
	}
	// The next step of the same job has the same id.
	if code, _, stderr := inJob("launch", "--target", p.target, "-v", p.mount); code != 0 {
		t.Fatalf("launch again: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := inJob("stop"); code != 0 {
		t.Errorf("stop again: exit code %d, %s", code, stderr)
	}
	p.nothingLeft()
}
