package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
)

// TestLargeFileSmallBudget: a file of 1 GiB streams through a leaf whose budget is 64 MiB, and no
// daemon ever exceeds its budget.
func TestLargeFileSmallBudget(t *testing.T) {
	const size, budget = 1 << 30, 64 << 20
	backing := t.TempDir()
	want := writeLarge(t, filepath.Join(backing, "large"), size)
	job := start(t, cluster.Options{Nodes: 4, Target: backing, Args: []string{"--memory", "64MiB"}})
	leaf := job.Nodes - 1
	if got := sum(t, filepath.Join(job.Mount(leaf), "large")); got != want {
		t.Error("the content differs")
	}
	s := status(t, job)
	for _, n := range s.Nodes {
		if n.Memory.Limit != budget || n.Memory.Peak > budget {
			t.Errorf("rank %d: peak %d of a budget of %d, want at most %d", n.Rank, n.Memory.Peak, n.Memory.Limit, budget)
		}
	}
	if s.Nodes[leaf].PFS.Bytes > 0 {
		t.Errorf("the leaf read %d bytes from the PFS itself", s.Nodes[leaf].PFS.Bytes)
	}
	if s.Totals.PFSBytes != size {
		t.Errorf("%d bytes were read from the PFS, want %d", s.Totals.PFSBytes, size)
	}
}

func writeLarge(t *testing.T, path string, size int) [32]byte {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	random := rand.NewChaCha8([32]byte{})
	if _, err := io.CopyN(io.MultiWriter(f, h), random, int64(size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

// TestBareForm: mpirun copper serve in the background, copper wait, the application, copper stop.
func TestBareForm(t *testing.T) {
	for mpi := range launchers {
		t.Run(mpi, func(t *testing.T) {
			s := bare(t, mpi, "4", "--target", site(t))
			imports(t, s.Job, 1)
			summary, err := s.Stop(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"saved", s.Dir} {
				if !strings.Contains(summary, word) {
					t.Errorf("the closing summary lacks %q:\n%s", word, summary)
				}
			}
			if err := s.over(); err != nil {
				t.Errorf("the step ended with %v", err)
			}
			s.nothingLeft()
		})
	}
}

// TestLeftovers: after daemons and their supervisors were killed, the mounts are dead; the next launch at the same
// place cleans them away.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	o := cluster.Options{Copper: binary(t, "copper"), Dir: dir, Nodes: 2, Target: site(t)}
	ctx := context.Background()
	job, err := cluster.Launch(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	killAtOnce(t, status(t, job).Nodes)
	await(t, "the mounts to be dead", func() bool {
		for i := range job.Nodes {
			if _, err := os.Lstat(filepath.Join(job.Mount(i), "numpy")); !errors.Is(err, syscall.ENOTCONN) {
				return false
			}
		}
		return true
	})
	job = start(t, o)
	imports(t, job, 1)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// TestReadOnly: a write through the mount is EROFS at once.
func TestReadOnly(t *testing.T) {
	job := start(t, cluster.Options{Nodes: 1, Target: site(t)})
	file := filepath.Join(job.Mount(0), "numpy", "__init__.py")
	for what, err := range map[string]error{
		"append": func() error { _, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0); return err }(),
		"create": os.WriteFile(filepath.Join(job.Mount(0), "new"), nil, 0o644),
		"mkdir":  os.Mkdir(filepath.Join(job.Mount(0), "new"), 0o755),
		"remove": os.Remove(file),
		"rename": os.Rename(file, file+"2"),
		"chmod":  os.Chmod(file, 0o600),
		"cut":    os.Truncate(file, 0),
		"link":   os.Symlink("x", filepath.Join(job.Mount(0), "link")),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
}

// TestStopLeavesNothing: no process, no mount, no directory, no socket of the job is left.
func TestStopLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	job, err := cluster.Launch(ctx, cluster.Options{Copper: binary(t, "copper"), Dir: dir, Nodes: 3, Target: site(t)})
	if err != nil {
		t.Fatal(err)
	}
	imports(t, job, 1)
	nodes := status(t, job).Nodes
	if _, err := job.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		for _, pid := range []int{n.PID, n.Supervisor} {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("rank %d's process %d: %v", n.Rank, pid, err)
			}
		}
	}
	for i := range 3 {
		if _, err := os.Stat(job.Mount(i)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", job.Mount(i), err)
		}
	}
	if out, err := job.Run(ctx, "status"); err == nil {
		t.Errorf("status after stop:\n%s", out)
	}
	if out, err := exec.Command("pgrep", "-f", fmt.Sprintf("copper.*%s", dir)).Output(); err == nil {
		t.Errorf("processes of the job are left: %s", out)
	}
}
