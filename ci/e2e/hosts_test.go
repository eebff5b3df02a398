package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/nodes"
)

// machine is a few hosts that share, as those of a supercomputer do, a file system with the binaries
// and the jobs' directories, and nothing else.
type machine struct {
	*nodes.Network
	t    *testing.T
	bin  string // directory with the binaries
	dir  string // shared, the test's own
	jobs string // below dir

	env   []string // beside that of [machine.environment]
	steps []*serving
}

// hosts makes a machine of n hosts. What the test mounts itself it must mount before, and show.
func hosts(t *testing.T, n int, options ...nodes.Option) *machine {
	t.Helper()
	m := &machine{t: t, bin: filepath.Dir(binary(t, "copper")), dir: openDir(t)}
	m.jobs = filepath.Join(m.dir, "jobs")
	if err := nodes.Check(); err != nil {
		if os.Getenv("COPPER_REQUIRE_NODES") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var err error
	if m.Network, err = nodes.Up(n, options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Down(); err != nil {
			t.Error(err)
		}
	})
	if err := m.Show(m.bin, m.dir, site(t)); err != nil {
		t.Fatal(err)
	}
	return m
}

// try runs a shell script on a host and returns what it said.
func (m *machine) try(h *nodes.Host, script string, env ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = m.dir
	cmd.Env = append(m.environment(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// run is try for what must not fail.
func (m *machine) run(h *nodes.Host, script string, env ...string) string {
	m.t.Helper()
	out, err := m.try(h, script, env...)
	if err != nil {
		m.t.Fatalf("%s: %s: %v\n%s\n%s", h.Name(), script, err, out, m.logs())
	}
	return out
}

// environment is a user's on every host.
func (m *machine) environment() []string {
	env := append(cluster.MPIEnvironment(), m.env...)
	return append(env, "PATH="+m.bin+":"+os.Getenv("PATH"), "COPPER_DIR="+m.jobs, "COPPER_TIMEOUT=30s", "HOME="+m.dir, "USER=somebody",
		"OMPI_MCA_plm=rsh", "OMPI_MCA_plm_rsh_agent="+m.Agent(), "OMPI_MCA_oob_tcp_if_include=eth0",
		"OMPI_MCA_btl=tcp,self", "OMPI_MCA_btl_tcp_if_include=eth0")
}

// names are the hosts', separated by commas.
func (m *machine) names() string {
	var names []string
	for _, h := range m.Hosts() {
		names = append(names, h.Name())
	}
	return strings.Join(names, ",")
}

// logs is what every rank and launcher of every job has logged.
func (m *machine) logs() string {
	paths, _ := filepath.Glob(filepath.Join(m.jobs, "*", "logs", "*.log"))
	var all strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		fmt.Fprintf(&all, "%s:\n%s", path, text)
	}
	for _, s := range m.steps {
		fmt.Fprintf(&all, "%v:\n%s", s.Args[2:], s.out.String())
	}
	return all.String()
}

const onMount = "/tmp/somebody/copper"

// imports imports packages through the mount on some hosts at once.
func (m *machine) imports(on ...*nodes.Host) {
	m.t.Helper()
	err := cluster.Together(len(on), 1, func(i int) *exec.Cmd {
		return on[i].Command(context.Background(), "env", "-i", "PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "OPENBLAS_NUM_THREADS=1",
			"PYTHONPATH="+onMount, "python3", "-c", "import numpy; assert numpy.__file__.startswith('"+onMount+"/'); assert numpy.arange(9).sum() == 36")
	})
	if err != nil {
		m.t.Fatal(err, m.logs())
	}
}

// nothingLeft checks that no process, mount or file of a job is left on a host.
func (m *machine) nothingLeft(on ...*nodes.Host) {
	m.t.Helper()
	for _, h := range on {
		await(m.t, "the processes on "+h.Name()+" to end", func() bool {
			return h.Command(context.Background(), "pgrep", "-x", "copper|copper-mpich|mpirun.*|srun").Run() != nil
		})
		if out := m.run(h, "grep fuse.copper /proc/self/mountinfo || :; cd /tmp; ls -d copper-[0-9]* somebody 2>/dev/null || :"); out != "" {
			m.t.Errorf("left on %s:\n%s", h.Name(), out)
		}
	}
}

// serving is a step that was started by a command of the test's own, in the background.
type serving struct {
	*exec.Cmd
	out   bytes.Buffer
	ended chan error
}

// serve starts a script on a host, in the background.
func (m *machine) serve(h *nodes.Host, script string) *serving {
	m.t.Helper()
	s := &serving{Cmd: h.Command(context.Background(), "bash", "-c", "exec "+script), ended: make(chan error, 1)}
	s.Dir, s.Env = m.dir, m.environment()
	s.Stdout, s.Stderr = &s.out, &s.out
	if err := s.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.steps = append(m.steps, s)
	go func() { s.ended <- s.Wait() }()
	m.t.Cleanup(func() { _ = s.Process.Kill() })
	return s
}

// over waits for its end.
func (s *serving) over(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("it did not end: %s", s.out.String())
		return nil
	}
}

// TestHostsBare: a step that a script starts by mpirun over four hosts is waited for, used and stopped from
// any of them. The front-end, where no daemon runs, is told where to go.
func TestHostsBare(t *testing.T) {
	m := hosts(t, 4)
	all := m.Hosts()
	step := m.serve(m.Front(), "mpirun.openmpi --host "+m.names()+" --map-by node --enable-recovery -x COPPER_DIR -x USER "+m.bin+"/copper serve --target "+site(t))
	m.run(all[2], "copper wait")
	m.imports(all...)
	if out := m.run(all[3], "copper status"); !strings.Contains(out, "4 of 4 nodes answer") {
		t.Error(out)
	}
	m.run(all[1], "copper clear")
	for _, command := range []string{"status", "clear", "stop"} {
		out, err := m.try(m.Front(), "copper "+command)
		if err == nil || !strings.Contains(out, "n1 … n4") {
			t.Errorf("copper %s on the front-end: %v: %s", command, err, out)
		}
	}
	m.imports(all[0])
	m.run(all[1], "copper stop")
	if err := step.over(t); err != nil {
		t.Errorf("mpirun: %v: %s", err, step.out.String())
	}
	m.nothingLeft(all...)
	if left, _ := filepath.Glob(filepath.Join(m.jobs, "*", "job.json")); len(left) != 1 {
		t.Errorf("jobs: %v", left)
	}
}

// pbs makes a machine of n hosts on which a PBS job, played by its environment, runs on the first; its launcher is
// MPICH's.
func pbs(t *testing.T, n int) *machine {
	t.Helper()
	m := hosts(t, n, nodes.WithSharedMemory())
	file := filepath.Join(m.dir, "nodefile")
	lines := "n1\n" + strings.ReplaceAll(m.names(), ",", "\n") + "\n" // a host for each process
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	m.env = []string{"PBS_ENVIRONMENT=PBS_BATCH", "PBS_JOBID=17.ctl", "PBS_JOBNAME=copper", "PBS_QUEUE=all", "PBS_NODEFILE=" + file,
		"PBS_NODENUM=0", "PBS_TASKNUM=1", "PBS_O_WORKDIR=" + m.dir, "PBS_O_HOST=ctl", "HYDRA_LAUNCHER=ssh", "HYDRA_LAUNCHER_EXEC=" + m.Agent()}
	return m
}

// TestHostsPBS: a PBS job: launch, import on every host, stop.
func TestHostsPBS(t *testing.T) {
	m := pbs(t, 4)
	all := m.Hosts()
	if out := m.run(all[0], "copper-mpich launch --print"); !strings.Contains(out, "-n 4 -ppn 1 -hosts n1,n2,n3,n4 "+m.bin+"/copper-mpich serve") {
		t.Error(out)
	}
	m.run(all[0], "copper-mpich launch --target "+site(t))
	m.imports(all...)
	if out := m.run(all[2], "copper-mpich status"); !strings.Contains(out, "4 of 4 nodes answer") {
		t.Error(out)
	}
	m.run(all[0], "copper-mpich stop")
	m.nothingLeft(all...)
	if id, err := os.ReadDir(m.jobs); err != nil || len(id) != 1 || id[0].Name() != "17" {
		t.Errorf("jobs: %v, %v", id, err)
	}
}

// TestHostsDown: a host of the job can't be reached. Launch ends within its bound and says which; it works without it.
func TestHostsDown(t *testing.T) {
	m := pbs(t, 3)
	all := m.Hosts()
	if err := all[2].Cut(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, err := m.try(all[0], "copper-mpich launch --timeout 4s --target "+site(t))
	if err == nil || !strings.Contains(out, "n3 could not be cleared") || !strings.Contains(out, "--exclude n3") {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("launch on three hosts, one of which is down, has failed after %v", time.Since(began).Round(time.Millisecond))
	m.run(all[0], "copper-mpich launch --exclude n3 --target "+site(t))
	m.imports(all[:2]...)
	m.run(all[1], "copper-mpich stop")
	m.nothingLeft(all[:2]...)
}
