package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/nodes"
	"github.com/copper-hpc/copper/ci/slurm"
	"github.com/copper-hpc/copper/launch"
)

// batch is a machine with Slurm.
type batch struct {
	*machine
	*slurm.Cluster
}

// slurmOn makes a machine of n hosts with Slurm.
func slurmOn(t *testing.T, n int, options ...nodes.Option) *batch {
	t.Helper()
	binary(t, "copper")
	if err := slurm.Check(); err != nil {
		if os.Getenv("COPPER_REQUIRE_SLURM") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	m := hosts(t, n, options...)
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

// machines says what hosts each binary's MPI needs.
var machines = map[string][]nodes.Option{
	"copper":       nil,
	"copper-mpich": {nodes.WithSharedMemory()},
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
	return b.submitted(path)
}

// submitted submits a script as it is, on all hosts.
func (b *batch) submitted(path string, env ...string) *job {
	b.t.Helper()
	j := &job{b: b, out: filepath.Join(b.dir, fmt.Sprint("out", time.Now().UnixNano()))}
	j.id = strings.TrimSpace(b.run(b.Front(), fmt.Sprintf("sbatch --parsable --no-kill -N %d -o %s %s", len(b.Hosts()), j.out, path), env...))
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
	for mpi, options := range machines {
		t.Run(mpi, func(t *testing.T) {
			b := slurmOn(t, 4, options...)
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
				t.Fatalf("%s: %s\n%s", state, j.said(), b.logs())
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

// TestSlurmRefused: what would be run is shown, and nothing is. What one host alone lacks is said.
func TestSlurmRefused(t *testing.T) {
	b := slurmOn(t, 2)
	j := b.submit(`
copper launch --print
copper launch --print --exclude n2
copper launch --print --exclude n3 || echo "exit code $?"
copper-mpich launch --print
srun --no-such-option copper serve & copper wait --pid $! || echo "not waited"
srun --overlap --network=single_node_vni -N 1 -n 1 --mpi=none true
mkdir /tmp/mine
copper launch --target /tmp/mine || echo "exit code $?"
rmdir /tmp/mine`)
	if state := j.over(); state != "COMPLETED" {
		t.Fatalf("%s: %s", state, j.said())
	}
	for _, want := range []string{"--mpi=pmix " + b.bin + "/copper serve", "--mpi=pmi2 " + b.bin + "/copper-mpich serve", "/usr/bin/srun --overlap -N 2 -n 2",
		" -N 1 -n 1 --ntasks-per-node=1 --nodelist=n1 ", "n3 is no host of Slurm's job", "which was to start one, has ended", "not waited", "n2", "target /tmp/mine: no such file or directory", "exit code 2"} {
		if !strings.Contains(j.said(), want) {
			t.Errorf("no %s in %s", want, j.said())
		}
	}
	b.nothingLeft(b.Hosts()...)
}

// held submits a job that launches, does nothing until it is released, and then runs the script.
func (b *batch) held(mpi, script string) *job {
	b.t.Helper()
	j := b.submit(fmt.Sprintf(`
%s launch --target %s
echo READY
until [ -e $0.release ]; do sleep 0.05; done
%s
`, mpi, site(b.t), script))
	b.t.Cleanup(func() { _, _ = b.try(b.Front(), "scancel "+j.id) })
	j.says("READY")
	return j
}

// release lets a held job go on.
func (j *job) release() {
	j.b.t.Helper()
	// Slurm runs a copy of the script.
	out := j.b.run(j.b.Hosts()[0], "touch $(dirname $SLURM_CONF)/spool/n1/job$(printf %05d "+j.id+")/slurm_script.release")
	if out != "" {
		j.b.t.Log(out)
	}
}

// nodes is the job's status as the first host tells it.
func (j *job) nodes() launch.Status {
	j.b.t.Helper()
	var s launch.Status
	out, err := j.b.try(j.b.Hosts()[0], "copper status --json --job "+j.id+" 2>/dev/null")
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	if err != nil {
		j.b.t.Fatalf("status: %v: %s\n%s", err, out, j.b.logs())
	}
	return s
}

// steps are the steps of the job that run, beside its script.
func (j *job) steps() []string {
	j.b.t.Helper()
	return strings.Fields(j.b.run(j.b.Front(), "squeue -h -s -o %i -j "+j.id+" | grep -v -e batch -e extern || :"))
}

// completed releases the job, which must end well.
func (j *job) completed() {
	j.b.t.Helper()
	j.release()
	if state := j.over(); state != "COMPLETED" {
		j.b.t.Fatalf("the job: %s: %s\n%s", state, j.said(), j.b.logs())
	}
}

// works tells whether the mount on a host answers.
func (m *machine) works(h *nodes.Host) bool {
	_, err := m.try(h, "head -c 1 "+onMount+"/numpy/__init__.py >/dev/null")
	return err == nil
}

// TestSlurmDaemonKilled: the step goes on, the daemon comes back, the others notice nothing.
func TestSlurmDaemonKilled(t *testing.T) {
	for mpi, options := range machines {
		t.Run(mpi, func(t *testing.T) {
			b := slurmOn(t, 4, options...)
			j := b.held(mpi, mpi+" stop")
			victim := j.nodes().Nodes[2]
			host := b.Hosts()[2]
			if victim.Host != host.Name() {
				t.Fatalf("rank 2 is on %s", victim.Host)
			}
			b.run(host, fmt.Sprint("kill -KILL ", victim.PID))
			await(t, "the mount to work again", func() bool { return b.works(host) })
			b.imports(b.Hosts()...)
			if n := j.nodes().Nodes[2]; n.PID == victim.PID || n.Supervisor != victim.Supervisor || n.Restarts != 1 {
				t.Errorf("before %+v, after %+v", victim, n)
			}
			if steps := j.steps(); len(steps) != 1 {
				t.Errorf("steps: %v", steps)
			}
			j.completed()
			b.nothingLeft(b.Hosts()...)
		})
	}
}

// TestSlurmRankKilled: when a rank is killed for good the others go on. The stop removes what it left.
func TestSlurmRankKilled(t *testing.T) {
	b := slurmOn(t, 4)
	j := b.held("copper", "copper stop")
	victim, host := j.nodes().Nodes[3], b.Hosts()[3]
	b.run(host, fmt.Sprintf("kill -STOP %d; kill -KILL %d; kill -KILL %[1]d", victim.Supervisor, victim.PID))
	b.imports(b.Hosts()[:3]...)
	if out := b.run(host, "grep fuse.copper /proc/self/mountinfo"); out == "" {
		t.Error("nothing was left of the rank: this test tests nothing")
	}
	j.completed()
	b.nothingLeft(b.Hosts()...)
}

// TestSlurmCancelled: scancel leaves nothing.
func TestSlurmCancelled(t *testing.T) {
	b := slurmOn(t, 4)
	j := b.held("copper", "echo released")
	b.imports(b.Hosts()...)
	b.run(b.Front(), "scancel "+j.id)
	if state := j.over(); state != "CANCELLED" {
		t.Error(state)
	}
	b.nothingLeft(b.Hosts()...)
}

// TestSlurmLauncherKilled: without srun the step goes on, and ends by copper stop.
func TestSlurmLauncherKilled(t *testing.T) {
	b := slurmOn(t, 4)
	j := b.held("copper", "copper stop")
	b.run(b.Hosts()[0], "pkill -KILL -x srun")
	b.imports(b.Hosts()...)
	if s := j.nodes(); len(s.Nodes) != 4 {
		t.Errorf("%d nodes answer", len(s.Nodes))
	}
	j.completed()
	if !strings.Contains(j.said(), "4 of 4 nodes told") {
		t.Error(j.said())
	}
	b.nothingLeft(b.Hosts()...)
}

// TestSlurmAllKilled: all ranks of all nodes are killed at once; the stop removes what they left everywhere,
// and the same job can launch again.
func TestSlurmAllKilled(t *testing.T) {
	b := slurmOn(t, 4)
	j := b.held("copper", fmt.Sprintf(`
copper stop && exit 1
for i in $(seq 4); do srun --overlap --mpi=none -N 1 -n 1 -w n$i grep fuse.copper /proc/self/mountinfo && exit 1; done
export MOUNT=%s
copper launch --target %s
%s
copper stop
`, onMount, site(t), importEverywhere))
	for _, n := range j.nodes().Nodes {
		b.run(b.Hosts()[n.Rank], fmt.Sprintf("kill -STOP %d; kill -KILL %d; kill -KILL %[1]d; grep fuse.copper /proc/self/mountinfo", n.Supervisor, n.PID))
	}
	j.completed()
	if n := strings.Count(j.said(), "unmounted "+onMount+", left by rank"); n != 4 {
		t.Errorf("%d of 4 mounts were taken away by the stop:\n%s", n, j.said())
	}
	if n := strings.Count(j.said(), "imported"); n != 4 {
		t.Errorf("%d of 4 imports:\n%s", n, j.said())
	}
	b.nothingLeft(b.Hosts()...)
}

// TestSlurmNodeLost: a node goes down. The others go on with their work, and the stop is in order on them. The job
// can't launch on all of its nodes any more, which is said, and can on the others.
func TestSlurmNodeLost(t *testing.T) {
	b := slurmOn(t, 4)
	j := b.held("copper", fmt.Sprintf(`
timed() {
	began=$EPOCHREALTIME
	"$@" || echo "exit code $?"
	echo "copper $2 after $(( (${EPOCHREALTIME/./} - ${began/./}) / 1000 )) ms"
}
timed copper stop
timed copper launch --timeout 2m --target %[1]s
timed copper launch --exclude n4 --target %[1]s
srun --overlap --mpi=none -N 3 -n 3 -w n1,n2,n3 head -c 1 %[2]s/numpy/__init__.py >/dev/null
copper status
timed copper stop
`, site(t), onMount))
	last := b.Hosts()[3]
	if err := last.Crash(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.imports(b.Hosts()[:3]...)
	t.Logf("three nodes have imported %v after the crash of the fourth", time.Since(began).Round(time.Millisecond))
	if s := j.nodes(); len(s.Nodes) != 3 || len(s.Missing) != 1 || s.Missing[0].Host != last.Name() {
		t.Errorf("%d nodes answer, missing %v", len(s.Nodes), s.Missing)
	}
	j.release()
	state := j.over()
	for _, want := range []string{"3 of 4 nodes told", "n4 could not be cleared", "exit code 1", "n4 showed no sign of life: launch --exclude n4 starts without", "3 of 3 nodes answer", "3 of 3 nodes told"} {
		if !strings.Contains(j.said(), want) {
			t.Errorf("no %q", want)
		}
	}
	if state != "COMPLETED" || t.Failed() {
		t.Errorf("the job: %s: %s\n%s", state, j.said(), b.logs())
	}
	for line := range strings.Lines(j.said()) {
		if strings.HasSuffix(line, " ms\n") {
			t.Log(strings.TrimSpace(line))
		}
	}
	b.nothingLeft(b.Hosts()[:3]...)
}

// TestSlurmInteractive: salloc gives a shell on the front-end, where launch works; stop says where to go.
func TestSlurmInteractive(t *testing.T) {
	b := slurmOn(t, 2)
	said := b.run(b.Front(), fmt.Sprintf(`salloc --no-kill -N 2 bash -euc '
copper launch --target %s
copper status || echo "status: $?"
srun --overlap --mpi=none -N 1 -n 1 -w n2 copper stop' 2>&1`, site(t)))
	if !strings.Contains(said, "runs on n1 … n2 and not on this host") || !strings.Contains(said, "status: 1") || !strings.Contains(said, "2 of 2 nodes told") {
		t.Error(said)
	}
	b.nothingLeft(b.Hosts()...)
}
