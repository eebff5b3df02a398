package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/launch"
)

// launchers are the bare commands that start a step, by the binary that they belong to; the number
// of ranks follows.
var launchers = map[string][]string{
	"copper":       {"mpirun.openmpi", "--oversubscribe", "--enable-recovery", "-n"},
	"copper-mpich": {"mpiexec.hydra", "-n"},
}

// step is a job that the test started as a script does: by the launcher, in the background.
type step struct {
	*cluster.Job
	t        *testing.T
	launcher *exec.Cmd
	ended    chan error // what the launcher's end was
	out      string     // file with all that the step said
}

// bare starts a step of copper serve and returns when every mount answers.
func bare(t *testing.T, mpi, nodes string, args ...string) *step {
	t.Helper()
	return bareOf(t, binary(t, mpi), mpi, nodes, args...)
}

// bareOf is bare for another program, which starts that binary.
func bareOf(t *testing.T, program, mpi, nodes string, args ...string) *step {
	t.Helper()
	dir := t.TempDir()
	s := &step{t: t, Job: &cluster.Job{Copper: program, Dir: dir}, ended: make(chan error, 1), out: filepath.Join(dir, "out")}
	words := append(launchers[mpi][1:], nodes, s.Copper, "serve", "-v", filepath.Join(dir, "mnt{rank}"), "-d", filepath.Join(dir, "jobs"))
	s.launcher = exec.Command(launchers[mpi][0], append(words, args...)...)
	s.begin()
	return s
}

// begin starts the launcher and returns when every mount answers.
func (s *step) begin() {
	t := s.t
	t.Helper()
	out, err := os.Create(s.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.launcher.Stdout, s.launcher.Stderr = out, out
	if err := s.launcher.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.launcher.Wait() }()
	t.Cleanup(func() {
		// For a test that failed; else there is nothing to stop.
		_, _ = s.Stop(context.Background())
		_ = s.launcher.Process.Kill()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if text, err := s.Run(ctx, "wait"); err != nil {
		t.Fatalf("copper wait: %v\n%s\n%s", err, text, s.said())
	}
	var now launch.Status
	if err := s.Status(ctx, &now); err != nil {
		t.Fatal(err)
	}
	s.Nodes = len(now.Nodes)
}

func (s *step) said() string {
	text, _ := os.ReadFile(s.out)
	return string(text)
}

// logs is what all ranks have logged.
func (s *step) logs() string {
	paths, _ := filepath.Glob(filepath.Join(s.Dir, "jobs", "*", "logs", "*-output.log"))
	var all strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		all.Write(text)
	}
	return all.String()
}

// finish stops the step by copper stop, which must end the launcher with 0 and leave nothing.
func (s *step) finish() {
	s.t.Helper()
	if _, err := s.Stop(context.Background()); err != nil {
		s.t.Errorf("stop: %v", err)
	}
	if err := s.over(); err != nil {
		s.t.Errorf("the launcher: %v\n%s", err, s.said())
	}
	s.nothingLeft()
}

// over waits for the launcher's end, and returns what it was.
func (s *step) over() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(time.Minute):
		s.t.Fatalf("the step did not end\n%s\n%s", s.said(), s.logs())
		return nil
	}
}

// nothingLeft waits until no process, mount, socket or directory of the step is left.
func (s *step) nothingLeft() {
	s.t.Helper()
	await(s.t, "the step's processes to end", func() bool {
		return exec.Command("pgrep", "-f", "copper.* "+s.Dir).Run() != nil
	})
	if left := mountsBelow(s.t, s.Dir, "fuse.copper"); len(left) > 0 {
		s.t.Errorf("still mounted: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "mnt*")); len(left) > 0 {
		s.t.Errorf("mount points are left: %v", left)
	}
	control := filepath.Join(launch.ControlBases()[0], s.id())
	if _, err := os.Lstat(control); !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("%s is left: %v", control, err)
	}
}

// id is the job's id.
func (s *step) id() string {
	s.t.Helper()
	jobs, err := os.ReadDir(filepath.Join(s.Dir, "jobs"))
	if err != nil || len(jobs) != 1 {
		s.t.Fatalf("jobs: %v, %v", jobs, err)
	}
	return jobs[0].Name()
}

// node is the status of one rank; !ok if it does not answer.
func (s *step) node(rank int) (node launch.NodeStatus, ok bool) {
	var now launch.Status
	if err := s.Status(context.Background(), &now); err != nil {
		return node, false
	}
	for _, n := range now.Nodes {
		if n.Rank == rank {
			return n, true
		}
	}
	return node, false
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// killAtOnce kills supervisors and daemons together, so that neither tidies up after the other.
func killAtOnce(t *testing.T, nodes []launch.NodeStatus) {
	t.Helper()
	for _, n := range nodes {
		kill(t, n.Supervisor, syscall.SIGSTOP)
	}
	for _, n := range nodes {
		kill(t, n.PID, syscall.SIGKILL)
		kill(t, n.Supervisor, syscall.SIGKILL)
	}
}
