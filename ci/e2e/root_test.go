package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/ci/cluster"
)

// TestRootTarget: the view of / has programs that run and libraries that load, and neither the
// mount itself nor what is no file system of files.
func TestRootTarget(t *testing.T) {
	job := start(t, cluster.Options{Nodes: 2, Target: "/"})
	for i := range job.Nodes {
		view := job.Mount(i)
		run := func(want string, args ...string) {
			t.Helper()
			out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%v: %q (%v), want %q", args, out, err, want)
			}
		}
		run("hello", view+"/usr/bin/env", "echo", "hello")
		run("42", view+"/usr/bin/python3", "-c", "import ctypes, json; print(json.loads('42'))")
		run(view+"/usr/lib/python3/dist-packages/numpy/__init__.py", "env",
			"PYTHONPATH="+view+"/usr/lib/python3/dist-packages", "/usr/bin/python3", "-c", "import numpy; print(numpy.__file__)")
		for _, p := range []string{"/proc", "/proc/self/status", "/sys/kernel", "/dev/pts", job.Mount(0), job.Mount(1), filepath.Join(job.Mount(i), "etc")} {
			if _, err := os.Lstat(view + p); !errors.Is(err, syscall.ENOENT) {
				t.Errorf("node %d: %s in the view: %v, want ENOENT", i, p, err)
			}
		}
		names, err := os.ReadDir(view)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if n.Name() == "proc" || n.Name() == "sys" {
				t.Errorf("node %d: the view lists %s", i, n.Name())
			}
		}
	}
	// A walk through all of the view's /tmp ends, since it never enters the mounts below it.
	if out, err := exec.Command("find", job.Mount(0)+filepath.Dir(job.Mount(0)), "-name", "mnt*").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the mounts are in the view: %s (%v)", out, err)
	}
}
