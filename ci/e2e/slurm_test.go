package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/slurm"
)

// batch is a machine with Slurm.
type batch struct {
	*machine
	*slurm.Cluster
}

// slurmOn makes a machine of n hosts with Slurm.
func slurmOn(t *testing.T, n int) *batch {
	t.Helper()
	binary(t, "copper")
	if err := slurm.Check(); err != nil {
		if os.Getenv("COPPER_REQUIRE_SLURM") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	m := hosts(t, n)
	c, err := slurm.Up(m.Network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Down(); err != nil {
			t.Error(err)
		}
	})
	m.env = c.Environment()
	return &batch{m, c}
}

// job is a batch job.
type job struct {
	b   *batch
	id  string
	out string // file with what it said
}

// submit submits a job on all hosts that runs a shell script.
func (b *batch) submit(script string) *job {
	b.t.Helper()
	path := filepath.Join(b.dir, fmt.Sprint("script", time.Now().UnixNano()))
	if err := os.WriteFile(path, []byte("#!/bin/bash\nset -euo pipefail\n"+script), 0o755); err != nil {
		b.t.Fatal(err)
	}
	j := &job{b: b, out: path + ".out"}
	j.id = strings.TrimSpace(b.run(b.Front(), fmt.Sprintf("sbatch --parsable --no-kill -N %d -o %s %s", len(b.Hosts()), j.out, path)))
	return j
}

func (j *job) said() string {
	text, _ := os.ReadFile(j.out)
	return string(text)
}

// state is Slurm's word for what has become of the job.
func (j *job) state() string {
	out, _ := j.b.try(j.b.Front(), "scontrol -o show job "+j.id+" | sed 's/.* JobState=\\([A-Z_]*\\).*/\\1/'")
	return strings.TrimSpace(out)
}

// over waits for the end of the job and returns its state then.
func (j *job) over() string {
	j.b.t.Helper()
	var state string
	await(j.b.t, "the job to end", func() bool {
		state = j.state()
		return state != "" && state != "RUNNING" && state != "PENDING" && state != "COMPLETING"
	})
	return state
}

// says waits until the job has said something.
func (j *job) says(what string) {
	j.b.t.Helper()
	await(j.b.t, "the job to say "+what, func() bool {
		if s := j.state(); s != "RUNNING" && s != "PENDING" && !strings.Contains(j.said(), what) {
			j.b.t.Fatalf("the job is %s: %s\n%s", s, j.said(), j.b.logs())
		}
		return strings.Contains(j.said(), what)
	})
}

const importEverywhere = `
srun --overlap --mpi=none -N $SLURM_JOB_NUM_NODES --ntasks-per-node=1 env PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=$MOUNT \
	python3 -c 'import numpy, os; assert numpy.__file__.startswith(os.environ["MOUNT"] + "/"); print("imported")'
`

// TestSlurmJob: a batch job launches, imports through the mount on every node, and stops; the step ends
// with 0, and nothing is left. Twice in one job.
func TestSlurmJob(t *testing.T) {
	b := slurmOn(t, 4)
	for _, mpi := range []string{"copper", "copper-mpich"} {
		t.Run(mpi, func(t *testing.T) {
			b.machine.t = t
			j := b.submit(fmt.Sprintf(`
export MOUNT=%s
for i in 1 2; do
	began=$EPOCHREALTIME
	%[2]s launch --target %[3]s
	echo "launched in $(( (${EPOCHREALTIME/./} - ${began/./}) / 1000 )) ms"
	%[4]s
	%[2]s status
	%[2]s stop
	while squeue -h -s -j $SLURM_JOB_ID | grep -v -e batch -e extern; do sleep 0.1; done
done
cat $COPPER_DIR/$SLURM_JOB_ID/logs/launcher.log
`, onMount, mpi, site(t), importEverywhere))
			if state := j.over(); state != "COMPLETED" {
				t.Fatalf("%s: %s\n%s", state, j.said(), b.machine.logs())
			}
			said := j.said()
			if strings.Count(said, "imported") != 8 || strings.Count(said, "4 of 4 nodes answer") != 2 || strings.Contains(said, "error") {
				t.Error(said)
			}
			for line := range strings.Lines(said) {
				if strings.Contains(line, " ms") {
					t.Log(strings.TrimSpace(line))
				}
			}
			b.nothingLeft(b.Hosts()...)
		})
	}
}

// TestSlurmPrint: what would be run is shown, and nothing is.
func TestSlurmPrint(t *testing.T) {
	b := slurmOn(t, 2)
	j := b.submit("copper launch --print; copper-mpich launch --print")
	if state := j.over(); state != "COMPLETED" {
		t.Fatalf("%s: %s", state, j.said())
	}
	for _, want := range []string{"--mpi=pmix " + b.bin + "/copper serve", "--mpi=pmi2 " + b.bin + "/copper-mpich serve", "/usr/bin/srun --overlap -N 2 -n 2"} {
		if !strings.Contains(j.said(), want) {
			t.Errorf("no %s in %s", want, j.said())
		}
	}
	b.nothingLeft(b.Hosts()...)
}

var _ = context.Background
