package mpiboot

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// result is what internal/ranktest leaves behind.
type result struct {
	Rank, Size int
	Roster     *struct {
		Self  int
		Cards []Card
	}
	SecretHash string
	Err        string
	MPI        bool
	Problems   []string
	Pauses     int64
}

// mpiKind is one MPI implementation, as Debian installs it.
type mpiKind struct {
	name    string
	library string   // the one MPI library that the binary needs
	cflags  []string // command that prints the compiler's flags
	ldflags []string // command that prints the linker's
	launch  []string // and then the program

	program string // internal/ranktest, built for this MPI
}

var mpiKinds = []mpiKind{
	{
		name: "OpenMPI", library: "libmpi.so.40",
		cflags:  []string{"mpicc.openmpi", "-showme:compile"},
		ldflags: []string{"mpicc.openmpi", "-showme:link"},
		launch:  []string{"mpirun.openmpi", "--oversubscribe", "-n", "4"},
	},
	{
		name: "MPICH", library: "libmpich.so.12",
		cflags: []string{"pkg-config", "--cflags", "mpich"},
		// gompi asks for -lmpi as well; unneeded, it is left out.
		ldflags: []string{"echo", "-Wl,--as-needed", "-lmpich"},
		launch:  []string{"mpiexec.hydra", "-n", "4"},
	},
}

// cleanEnv is this process's environment without what launchers put there.
func cleanEnv(extra ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		for _, prefix := range []string{"OMPI_", "PMI", "SLURM_", "PALS_"} {
			if strings.HasPrefix(v, prefix) {
				return true
			}
		}
		return false
	})
	env = append(env, "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
	return append(env, extra...)
}

func output(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// build builds internal/ranktest for one MPI. Without that MPI it skips the test, or fails it if
// COPPER_REQUIRE_MPI=1.
func (m *mpiKind) build(t *testing.T) {
	t.Helper()
	for _, argv := range [][]string{m.cflags, m.ldflags, m.launch} {
		_, err := exec.LookPath(argv[0])
		if err == nil && argv[0] == "pkg-config" {
			err = exec.CommandContext(t.Context(), "pkg-config", "--exists", "mpich").Run()
		}
		if err == nil {
			continue
		}
		if os.Getenv("COPPER_REQUIRE_MPI") == "1" {
			t.Fatalf("%s is required but not installed: %s: %v", m.name, argv[0], err)
		}
		t.Skipf("%s is not installed: %s: %v", m.name, argv[0], err)
	}
	// Go's cache does not see which mpi.h was used: one cache for each MPI.
	cache := output(t, os.Environ(), "go", "env", "GOCACHE")
	m.program = filepath.Join(t.TempDir(), "ranktest")
	output(t, cleanEnv(
		"CGO_ENABLED=1",
		"GOCACHE="+cache+"-"+strings.ToLower(m.name),
		"CGO_CFLAGS=-O2 -g "+output(t, os.Environ(), m.cflags...),
		"CGO_LDFLAGS="+output(t, os.Environ(), m.ldflags...),
	), "go", "build", "-tags", "mpi", "-o", m.program, "./internal/ranktest")
}

// run is one start of the test program under a launcher.
type run struct {
	dir    string
	stderr bytes.Buffer
	cmd    *exec.Cmd
}

func start(t *testing.T, argv ...string) *run {
	t.Helper()
	r := &run{dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	r.cmd = exec.CommandContext(ctx, argv[0], append(argv[1:], r.dir)...)
	r.cmd.Env = cleanEnv()
	r.cmd.Stderr = &r.stderr
	r.cmd.Cancel = func() error { return r.cmd.Process.Signal(syscall.SIGTERM) }
	r.cmd.WaitDelay = 10 * time.Second
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for the launcher; it returns its exit code and what the ranks left, by rank.
func (r *run) end(t *testing.T) (int, []result) {
	t.Helper()
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, &r.stderr)
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var res result
		if err := json.Unmarshal(text, &res); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if len(res.Problems) > 0 {
			t.Errorf("rank %d: %s", res.Rank, strings.Join(res.Problems, "; "))
		}
		results = append(results, res)
	}
	slices.SortFunc(results, func(a, b result) int { return a.Rank - b.Rank })
	return r.cmd.ProcessState.ExitCode(), results
}

// pid waits until a rank has left its process id in a file.
func (r *run) pid(t *testing.T, name string) int {
	t.Helper()
	var text []byte
	await(t, "file "+name, func() (err error) {
		text, err = os.ReadFile(filepath.Join(r.dir, name))
		return err
	})
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// await polls other processes: there is nothing to be woken by.
func await(t *testing.T, what string, f func() error) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func TestUnderLaunchers(t *testing.T) {
	// Reading the sources makes them inputs of this test, so that go test does not call an old
	// result up to date: they are built by a go build of its own.
	for _, pattern := range []string{"*.go", "internal/ranktest/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if _, err := os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, m := range mpiKinds {
		t.Run(m.name, func(t *testing.T) {
			m.build(t)
			other := mpiKinds[1-i]
			t.Run("links one MPI", m.linksOne)
			t.Run("roster", m.roster)
			t.Run("alone", m.alone)
			t.Run("one fails", m.oneFails)
			t.Run("one is late", m.oneIsLate)
			t.Run("one is stuck", m.oneIsStuck)
			t.Run("SIGTERM", m.sigterm)
			t.Run("abort", m.abort)
			t.Run("one dies later", m.oneDiesLater)
			t.Run("launcher of "+other.name, func(t *testing.T) { m.wrongLauncher(t, other) })
		})
	}
}

func (m *mpiKind) linksOne(t *testing.T) {
	f, err := elf.Open(m.program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	libs = slices.DeleteFunc(libs, func(l string) bool { return !strings.HasPrefix(l, "libmpi") })
	if !slices.Equal(libs, []string{m.library}) {
		t.Errorf("needs %v, want %s alone", libs, m.library)
	}
}

func (m *mpiKind) start(t *testing.T, args ...string) *run {
	t.Helper()
	return start(t, append(append(slices.Clone(m.launch), m.program), args...)...)
}

func (m *mpiKind) roster(t *testing.T) {
	r := m.start(t, "ok")
	code, results := r.end(t)
	if code != 0 || len(results) != 4 {
		t.Fatalf("exit %d, %d results\n%s", code, len(results), &r.stderr)
	}
	first := results[0]
	for rank, res := range results {
		if res.Rank != rank || res.Size != 4 || res.Err != "" || !res.MPI || res.Roster == nil {
			t.Fatalf("rank %d: %+v", rank, res)
		}
		if res.Roster.Self != rank {
			t.Errorf("rank %d: Self is %d", rank, res.Roster.Self)
		}
		if !reflect.DeepEqual(res.Roster.Cards, first.Roster.Cards) {
			t.Errorf("rank %d has other cards than rank 0:\n%+v\n%+v", rank, res.Roster.Cards, first.Roster.Cards)
		}
		if res.SecretHash != first.SecretHash || res.SecretHash == "" {
			t.Errorf("rank %d has another secret than rank 0", rank)
		}
		if c := first.Roster.Cards[rank]; c.Rank != rank || len(c.Endpoints) != 7*rank || c.Mount != "/tmp/copper-"+strconv.Itoa(rank) {
			t.Errorf("card of rank %d: %+v", rank, c)
		}
	}
	again, others := m.start(t, "ok").end(t)
	if again != 0 || len(others) == 0 || others[0].SecretHash == first.SecretHash {
		t.Errorf("a second step: exit %d, and not a secret of its own", again)
	}
}

func (m *mpiKind) alone(t *testing.T) {
	for _, argv := range [][]string{nil, {m.launch[0], "-n", "1"}} {
		code, results := start(t, append(argv, m.program, "ok")...).end(t)
		if code != 0 || len(results) != 1 || results[0].Size != 1 || results[0].MPI {
			t.Errorf("%v: exit %d, %+v", argv, code, results)
		}
	}
}

func (m *mpiKind) oneFails(t *testing.T) {
	for mode, want := range map[string]string{
		"fail":   "(rank 3): fusermount3: not found",
		"refuse": "(rank 3): port 4711 is in use",
	} {
		r := m.start(t, mode)
		code, results := r.end(t)
		if code != 1 || len(results) != 4 {
			t.Fatalf("%s: exit %d, %d results\n%s", mode, code, len(results), &r.stderr)
		}
		for _, res := range results {
			if res.Err != results[0].Err || !strings.HasSuffix(res.Err, want) {
				t.Errorf("%s: rank %d has error %q, want …%s", mode, res.Rank, res.Err, want)
			}
		}
	}
}

// The others leave the cores alone while they wait a second for it: most of the time they sleep, a millisecond each.
func (m *mpiKind) oneIsLate(t *testing.T) {
	code, results := m.start(t, "late").end(t)
	if code != 0 || len(results) != 4 {
		t.Fatalf("exit %d, %d results", code, len(results))
	}
	for _, res := range results {
		if res.Rank != 3 && res.Pauses < 100 {
			t.Errorf("rank %d gave its core up %d times in a second of waiting", res.Rank, res.Pauses)
		}
	}
}

// A machine that is slow to start four ranks is given more time.
func (m *mpiKind) oneIsStuck(t *testing.T) {
	for bound := time.Second; ; bound *= 3 {
		r := start(t, append(append(slices.Clone(m.launch), m.program), "-bound", bound.String(), "stuck")...)
		code, results := r.end(t)
		said := r.stderr.String()
		if bound < 20*time.Second && strings.Contains(said, waitJoin) {
			continue
		}
		if want := fmt.Sprintf("of 4): gave up after %v of waiting for %s", bound, waitCards); code == 0 || len(results) != 0 || !strings.Contains(said, want) {
			t.Errorf("exit %d, %d results, no %q in\n%s", code, len(results), want, said)
		}
		return
	}
}

// A rank that catches SIGTERM, as a server does, still ends when it comes during an allgather.
func (m *mpiKind) sigterm(t *testing.T) {
	r := m.start(t, "stuck")
	pid := r.pid(t, "waiting")
	const want = "(rank 0 of 4): SIGTERM while waiting for " + waitCards
	// The first ones may come before the allgather has begun.
	await(t, "end of rank 0", func() error {
		// A launcher that is ending itself may leave a zombie, which takes signals for ever.
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil || strings.Contains(string(stat), ") Z ") || syscall.Kill(pid, syscall.SIGTERM) != nil {
			return nil
		}
		return errors.New("still there")
	})
	code, results := r.end(t)
	if code == 0 || len(results) != 0 || !strings.Contains(r.stderr.String(), want) {
		t.Errorf("exit %d, %d results, no %q in\n%s", code, len(results), want, &r.stderr)
	}
}

func (m *mpiKind) abort(t *testing.T) {
	r := m.start(t, "abort")
	if code, results := r.end(t); code != 7 || len(results) != 0 {
		t.Errorf("exit %d, want 7; %d results\n%s", code, len(results), &r.stderr)
	}
}

// Once Ready has returned, the death of a rank is no affair of the others.
func (m *mpiKind) oneDiesLater(t *testing.T) {
	if m.name != "OpenMPI" {
		t.Skipf("the launcher of %s ends the step whatever a rank does", m.name)
	}
	recovery := []string{m.launch[0], "--enable-recovery"}
	r := start(t, append(append(recovery, m.launch[1:]...), m.program, "die")...)
	pid := r.pid(t, "dying")
	await(t, "mpirun to notice that rank 3 is dead", func() error {
		if err := syscall.Kill(pid, 0); err == nil {
			return errors.New("still there")
		}
		return nil
	})
	if err := os.WriteFile(filepath.Join(r.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, results := r.end(t)
	if code != 0 || len(results) != 3 {
		t.Fatalf("exit %d, %d survivors of 3\n%s", code, len(results), &r.stderr)
	}
	for _, res := range results {
		if res.Err != "" {
			t.Errorf("rank %d: %s", res.Rank, res.Err)
		}
	}
}

func (m *mpiKind) wrongLauncher(t *testing.T, other mpiKind) {
	if _, err := exec.LookPath(other.launch[0]); err != nil {
		t.Skipf("%s is not installed", other.name)
	}
	keepSessionDir(t)
	r := start(t, append(slices.Clone(other.launch), m.program, "ok")...)
	code, results := r.end(t)
	if code != 2 || len(results) == 0 {
		t.Errorf("exit %d, want 2; %d results\n%s", code, len(results), &r.stderr)
	}
	for _, res := range results {
		if !strings.Contains(res.Err, "started 4 processes") || !strings.Contains(res.Err, "but MPI sees 1") ||
			!strings.Contains(res.Err, "srun --mpi=") {
			t.Errorf("error %q", res.Err)
		}
	}
}

// keepSessionDir makes the directory that Open MPI's singletons share. They fail at times if they make it themselves
// at the same moment (orte/util/session_dir.c).
func keepSessionDir(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ompi") // a short name, since sockets are made there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	kept := filepath.Join(dir, fmt.Sprintf("ompi.%s.%d", host, os.Getuid()))
	if err := errors.Join(os.Mkdir(kept, 0o700), os.WriteFile(filepath.Join(kept, "kept"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
}

func TestBuiltWithoutMPIUnderLaunchers(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ranktest")
	output(t, cleanEnv("CGO_ENABLED=0"), "go", "build", "-o", program, "./internal/ranktest")
	for _, m := range mpiKinds {
		t.Run(m.name, func(t *testing.T) {
			if _, err := exec.LookPath(m.launch[0]); err != nil {
				t.Skipf("%s is not installed", m.name)
			}
			code, results := start(t, append(slices.Clone(m.launch), program, "ok")...).end(t)
			if code != 2 || len(results) == 0 || !strings.Contains(results[0].Err, "built without MPI") {
				t.Errorf("exit %d, want 2; %+v", code, results)
			}
			code, results = start(t, m.launch[0], "-n", "1", program, "ok").end(t)
			if code != 0 || len(results) != 1 || results[0].Size != 1 {
				t.Errorf("a step of one: exit %d, %+v", code, results)
			}
		})
	}
}
