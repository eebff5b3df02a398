package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/copper-hpc/copper/ci/nodes"
)

// Job is a running Copper job of several daemons on this machine.
type Job struct {
	Copper string // the binary
	Dir    string // everything lies below: mnt0, mnt1, … and jobs
	Nodes  int
	// Host is where subcommands are run; nil: here.
	Host *nodes.Host

	Stopped bool // by Stop, without an error
}

// Options are the choices for [Launch].
type Options struct {
	Copper string   // path of the binary
	Dir    string   // an existing directory of the job's own
	Nodes  int      // daemons
	Target string   // what the views show; {rank} is replaced by Copper
	Args   []string // further arguments of copper launch
}

// Launch runs `copper launch` and returns when it does.
func Launch(ctx context.Context, o Options) (*Job, error) {
	j := &Job{Copper: o.Copper, Dir: o.Dir, Nodes: o.Nodes}
	args := []string{"launch", "--nodes", strconv.Itoa(o.Nodes), "--target", o.Target,
		"-v", filepath.Join(o.Dir, "mnt{rank}"), "-d", j.jobs()}
	out, err := j.command(ctx, append(args, o.Args...)...)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return j, nil
}

func (j *Job) jobs() string { return filepath.Join(j.Dir, "jobs") }

// Mount is the mount point of node i.
func (j *Job) Mount(i int) string { return filepath.Join(j.Dir, fmt.Sprint("mnt", i)) }

// Run runs a copper subcommand on the job and returns what it printed on stdout.
func (j *Job) Run(ctx context.Context, subcommand string, args ...string) (string, error) {
	return j.command(ctx, append([]string{subcommand, "-d", j.jobs()}, args...)...)
}

// Stop runs `copper stop` and returns its closing summary.
func (j *Job) Stop(ctx context.Context) (string, error) {
	summary, err := j.Run(ctx, "stop")
	j.Stopped = err == nil
	return summary, err
}

// Status runs `copper status --json` and decodes it into v.
func (j *Job) Status(ctx context.Context, v any) error {
	out, err := j.Run(ctx, "status", "--json")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), v)
}

func (j *Job) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, j.Copper, args...)
	if j.Host != nil {
		cmd = j.Host.Command(ctx, j.Copper, args...)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("copper %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// MPIEnvironment is the environment with what OpenMPI wants of root and of a small machine.
func MPIEnvironment() []string {
	return append(os.Environ(), "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_btl_vader_single_copy_mechanism=none")
}

// Together runs one command per node, times at once on each, and returns what failed.
func Together(nodes, times int, command func(node int) *exec.Cmd) error {
	errs := make(chan error)
	for node := range nodes {
		for range times {
			go func() {
				cmd := command(node)
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				if err := cmd.Run(); err != nil {
					errs <- fmt.Errorf("node %d: %v: %w: %s", node, cmd.Args, err, out.String())
					return
				}
				errs <- nil
			}()
		}
	}
	var all []error
	for range nodes * times {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// Python is a Python process that finds packages below path first and writes nothing.
func Python(ctx context.Context, path, code string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", code)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "PYTHONPATH=" + path,
		"PYTHONDONTWRITEBYTECODE=1", "OPENBLAS_NUM_THREADS=1"}
	return cmd
}
