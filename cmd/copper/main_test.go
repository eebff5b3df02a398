package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/fuse"
)

// program is the binary under test, built without MPI.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "copper-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "copper")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// place is where one test's jobs live.
type place struct {
	t      *testing.T
	dir    string
	mount  string
	target string
}

// newPlace has a target with a few files in it.
func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{t, dir, filepath.Join(dir, "new", "mnt"), filepath.Join(dir, "target")}
	if err := os.MkdirAll(filepath.Join(p.target, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write("sub/file", "content")
	if err := os.Symlink("sub/file", filepath.Join(p.target, "link")); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.target, name), []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// command is a copper subcommand on this place's jobs, in an environment that says nothing of jobs.
func (p *place) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	for _, v := range os.Environ() {
		hides := false
		for _, prefix := range []string{"COPPER_", "PBS_", "SLURM_", "OMPI_", "PMI", "PALS_"} {
			hides = hides || strings.HasPrefix(v, prefix)
		}
		if !hides {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "COPPER_DIR="+filepath.Join(p.dir, "jobs"))
	cmd.Dir = p.dir
	return cmd
}

// copper runs a subcommand to its end.
func (p *place) copper(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	return p.run(p.command(args...))
}

func (p *place) run(cmd *exec.Cmd) (code int, stdout, stderr string) {
	p.t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	failed := cmd.Run()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		p.t.Fatal(failed)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// must runs a subcommand that succeeds, and returns what it prints.
func (p *place) must(args ...string) string {
	p.t.Helper()
	code, stdout, stderr := p.copper(args...)
	if code != 0 {
		p.t.Fatalf("copper %v: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// launch starts a job of one node and ends it with the test, if the test does not.
func (p *place) launch(args ...string) {
	p.t.Helper()
	requireFUSE(p.t)
	p.must(append([]string{"launch", "--target", p.target, "-v", p.mount}, args...)...)
	p.t.Cleanup(func() { p.copper("stop") })
}

// nothingLeft tells that no mount and no mount point is left.
func (p *place) nothingLeft() {
	p.t.Helper()
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.Contains(string(info), " "+p.dir) {
		p.t.Errorf("still mounted below %s:\n%s", p.dir, info)
	}
	if _, err := os.Lstat(filepath.Join(p.dir, "new")); !errors.Is(err, os.ErrNotExist) {
		p.t.Errorf("the mount point that was made is left: %v", err)
	}
}

func requireFUSE(t *testing.T) {
	t.Helper()
	err := fuse.CheckDevice()
	if err == nil {
		return
	}
	if os.Getenv("COPPER_REQUIRE_FUSE") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// await polls for what another process does.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
