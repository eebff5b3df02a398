package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/launch"
)

// installed is Copper as `make install` leaves it, in a directory of the test's own.
type installed struct {
	t    *testing.T
	root string
	dir  string // for all else
	env  []string
}

// install installs a binary with the wrappers.
func install(t *testing.T, mpi string) *installed {
	t.Helper()
	i := &installed{t: t, dir: t.TempDir()}
	i.root = filepath.Join(i.dir, "opt")
	source := filepath.Dir(filepath.Dir(binary(t, mpi)))
	cmd := exec.Command("make", "-C", source, "-o", "copper", "install", "PREFIX="+i.root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	if mpi != "copper" {
		// At a site copper is built for the site's MPI.
		if out, err := exec.Command("install", binary(t, mpi), filepath.Join(i.root, "bin", "copper")).CombinedOutput(); err != nil {
			t.Fatalf("install: %v\n%s", err, out)
		}
	}
	i.env = append(os.Environ(), "COPPER_ROOT=", "COPPER_DIR="+filepath.Join(i.dir, "jobs"), "PATH="+filepath.Join(i.root, "bin")+":"+os.Getenv("PATH"))
	return i
}

// run runs a command of the installation.
func (i *installed) run(name string, args ...string) (code int, stdout, stderr string) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(i.root, "bin", name), args...)
	var out, err bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = i.dir, i.env, &out, &err
	var exit *exec.ExitError
	if failed := cmd.Run(); failed != nil && !errors.As(failed, &exit) {
		i.t.Fatal(failed)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// must is run for what succeeds.
func (i *installed) must(name string, args ...string) (stdout, stderr string) {
	i.t.Helper()
	code, stdout, stderr := i.run(name, args...)
	if code != 0 {
		i.t.Fatalf("%s %q: exit code %d\n%s%s", name, args, code, stdout, stderr)
	}
	return stdout, stderr
}

// TestWrapperLocal: every option of the local wrapper, on two daemons; a file larger than -M is read by each of
// them, others by one.
func TestWrapperLocal(t *testing.T) {
	i := install(t, "copper")
	target := filepath.Join(i.dir, "pfs")
	sizes := map[string]int64{"small": 1 << 20, "large": 3<<20 + 1}
	for name, size := range sizes {
		if err := os.MkdirAll(target, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(target, name), bytes.Repeat([]byte("copper\n"), int(size)/7+1)[:size], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	jobs := filepath.Join(i.dir, "elsewhere")
	mount := filepath.Join(i.dir, "mnt{rank}")
	t.Cleanup(func() { i.run("stop_copper_local.sh", "-d", jobs) })
	i.must("launch_copper_local.sh", "-l", "5", "-t", "both", "-d", jobs, "-T", "2", "-M", "2097152", "-E", "100", "-s", "0", "-b", "0",
		"-a", "discover", "-n", "tcp", "-v", mount, "--nodes", "2", "--target", target, "--job", "7")
	for rank := range 2 {
		for name := range sizes {
			want, err := os.ReadFile(filepath.Join(target, name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(launch.Fill(mount, rank, ""), name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("rank %d: %s: %d bytes, %v", rank, name, len(got), err)
			}
		}
	}
	out, _ := i.must("copper", "status", "--json", "-d", jobs)
	var s launch.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	if want := sizes["small"] + 2*sizes["large"]; s.Totals.PFSBytes != want {
		t.Errorf("%d bytes were read of the PFS, want %d", s.Totals.PFSBytes, want)
	}
	for _, n := range s.Nodes {
		if n.PFS.Bytes < sizes["large"] {
			t.Errorf("rank %d read %d bytes itself", n.Rank, n.PFS.Bytes)
		}
		status, err := os.ReadFile("/proc/" + strconv.Itoa(n.PID) + "/status")
		if err != nil || !strings.Contains(string(status), "Cpus_allowed_list:\t0\n") {
			t.Errorf("rank %d is not bound to core 0: %v\n%s", n.Rank, err, status)
		}
	}
	i.must("stop_copper_local.sh", "-d", jobs, "-v", mount)
	for _, name := range []string{"node_file.txt", "copper_address_book.txt", "copper_address_book_full_output.txt", "launcher.log"} {
		if _, err := os.Stat(filepath.Join(jobs, "7", "logs", name)); err != nil {
			t.Error(err)
		}
	}
	if logs, _ := filepath.Glob(filepath.Join(jobs, "7", "logs", "*-output.log")); len(logs) != 2 {
		t.Errorf("logs of ranks: %q", logs)
	}
	said, err := os.ReadFile(filepath.Join(jobs, "7", "logs", "launcher.log")) // where the ranks' stdout goes
	if err != nil || !strings.Contains(string(said), "provider registration completed after ") {
		t.Errorf("-t both: %v\n%s", err, said)
	}
	if left := mountsBelow(t, i.dir, "fuse.copper"); len(left) > 0 {
		t.Errorf("still mounted: %v", left)
	}
}

// TestWrapperAurora: in a job as PBS makes it, with MPICH's mpiexec in the role of PALS. The site's defaults
// ask for what this machine and this binary lack: each is a warning or named.
func TestWrapperAurora(t *testing.T) {
	i := install(t, "copper-mpich")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	nodefile := filepath.Join(i.dir, "nodefile")
	if err := os.WriteFile(nodefile, []byte(host+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	i.env = append(i.env, "PBS_ENVIRONMENT=PBS_BATCH", "PBS_JOBID=4711.aurora-pbs-0001", "PBS_NODEFILE="+nodefile, "PBS_O_WORKDIR="+i.dir,
		"PALS_CPU_BIND=list:0:4:9")
	if code, _, stderr := i.run("launch_copper_aurora.sh", "-b", "4000-4001"); code != 2 || !strings.Contains(stderr, "this node has no cores 4000-4001") {
		t.Errorf("cores that are not there: exit code %d\n%s", code, stderr)
	}
	mount := filepath.Join(i.dir, "mnt{rank}")
	t.Cleanup(func() { i.run("stop_copper_aurora.sh") })
	stdout, stderr := i.must("launch_copper_aurora.sh", "-b", "0", "-v", mount, "--target", "/etc", "--nodes", "2")
	if !strings.Contains(stdout, "job 4711 is ready") || strings.Count(stderr, "warning") != 2 ||
		!strings.Contains(stderr, "warning: network cxi: libfabric ") || !strings.Contains(stderr, "has no provider cxi: ") || !strings.Contains(stderr, "warning: PALS_CPU_BIND=list:0:4:9 has the application run on the service cores too, on 0") {
		t.Errorf("%s%s", stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(launch.Fill(mount, 1, ""), "hostname")); err != nil {
		t.Error(err)
	}
	if out, _ := i.must("stop_copper_aurora.sh", "-v", mount); !strings.Contains(out, "job 4711 stopped") {
		t.Error(out)
	}
	// On tcp there is no warning but for the book, which this installation has not.
	i.env = append(i.env, "PALS_CPU_BIND=")
	_, stderr = i.must("launch_copper_aurora.sh", "-b", "0", "-v", mount, "--target", "/etc", "--nodes", "1", "-n", "tcp")
	if strings.Count(stderr, "warning") != 1 || !strings.Contains(stderr, "there is no facility address book") {
		t.Error(stderr)
	}
	i.must("stop_copper_aurora.sh")
	// And none where it has it.
	book := filepath.Join(i.root, "share", "copper", "alcf_aurora_copper_addressbook.txt")
	short, _, _ := strings.Cut(host, ".")
	if err := errors.Join(os.MkdirAll(filepath.Dir(book), 0o755), os.WriteFile(book, []byte(short+" tcp://127.0.0.1\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	_, stderr = i.must("launch_copper_aurora.sh", "-b", "0", "-v", mount, "--target", "/etc", "--nodes", "1", "-n", "tcp")
	if strings.Contains(stderr, "warning") {
		t.Error(stderr)
	}
	i.must("stop_copper_aurora.sh")
}

// TestWrapperDefaults: what the sites' wrappers would run.
func TestWrapperDefaults(t *testing.T) {
	i := install(t, "copper")
	for script, want := range map[string]string{
		"launch_copper_aurora.sh":   "--log-level 4 --log-to file --trees 0 --enoent-ms 2000 --net cxi --addresses facility --fallback=true --cores 48-51 --direct-above 0",
		"launch_copper_frontier.sh": "--log-level 4 --log-to file --trees 0 --enoent-ms 2000 --net cxi://cxi1 --addresses facility --fallback=true --cores 1-2 --direct-above 0",
		"launch_copper_local.sh":    "--log-level 4 --log-to file --trees 0 --enoent-ms 2000 --net tcp --addresses discover --fallback=false --cores none --direct-above 0",
	} {
		out, _ := i.must(script, "--print")
		words := strings.Split(want, " ")
		for n, word := range words {
			if strings.HasPrefix(word, "--") && n+1 < len(words) && !strings.HasPrefix(words[n+1], "--") {
				word += " " + words[n+1]
			}
			if strings.HasPrefix(word, "--") && !strings.Contains(out, " "+word) {
				t.Errorf("%s: no %s in %s", script, word, out)
			}
		}
	}
	if out, _ := i.must("launch_copper_frontier.sh", "-h"); !strings.Contains(out, "cxi://cxi1") || !strings.Contains(out, "-b, --cores=LIST") {
		t.Errorf("help: %s", out)
	}
}

// TestWrapperRefusals: usage on stderr, exit 2, nothing started.
func TestWrapperRefusals(t *testing.T) {
	i := install(t, "copper")
	for _, site := range launch.Sites {
		launcher, stopper := "launch_copper_"+site.Name+".sh", "stop_copper_"+site.Name+".sh"
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{launcher, "-Z"}, "unknown flag -Z"},
			{[]string{launcher, "-N", "x"}, "profile-top"},
			{[]string{launcher, "-I", "x"}, "profile-interval"},
			{[]string{launcher, "-l", "6"}, "want 0 to 5"},
			{[]string{launcher, "-t", "paper"}, "must be one of"},
			{[]string{launcher, "-T", "x"}, "--trees"},
			{[]string{launcher, "-M", "x"}, "not a size"},
			{[]string{launcher, "-E", "x"}, "enoent"},
			{[]string{launcher, "-s", "x"}, "sleep"},
			{[]string{launcher, "-b", "x"}, "not a list of cores"},
			{[]string{launcher, "-a", "x"}, "must be one of"},
			{[]string{launcher, "-n", "x"}, "want tcp"},
			{[]string{launcher, "-d"}, "-d"},
			{[]string{launcher, "surplus"}, "unexpected argument surplus"},
			{[]string{stopper, "-l", "4"}, "unknown flag -l"},
		} {
			code, stdout, stderr := i.run(c.args[0], c.args[1:]...)
			if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "Usage: copper") || !strings.Contains(stderr, c.want) {
				t.Errorf("%q: exit code %d, want 2, the usage and %q\n%s%s", c.args, code, c.want, stdout, stderr)
			}
		}
	}
	if code, _, stderr := i.run("launch_copper_local.sh", "-a", "facility", "-F", "none"); code != 2 || !strings.Contains(stderr, "address book") {
		t.Errorf("a missing book: exit code %d\n%s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(i.dir, "jobs")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was started: %v", err)
	}
}
