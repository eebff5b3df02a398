package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/oracle"
)

// TestWarmManifest: the next job's first import sends no READ to speak of and asks the PFS nothing,
// and records as much as the first job's did.
func TestWarmManifest(t *testing.T) {
	const nodes = 2
	dir, server := pfs(t, site(t), nodes)
	args := append([]string{"-T", "1"}, lifetime...)
	first := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir), Args: append([]string{"--job", "first"}, args...)})
	imports(t, first, 1)
	summary, err := first.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	recorded := filepath.Join(dir, "jobs", "first", "manifest.gz")
	if !strings.Contains(summary, "copper launch --warm "+recorded) {
		t.Errorf("the summary does not name the manifest:\n%s", summary)
	}
	server.Reset()
	second := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir),
		Args: append([]string{"--job", "second", "--warm", recorded}, args...)})
	once(t, site(t), askedByPath(server), 1)
	// 800 READs without. Some machines' kernels give up pages that nobody has used for a while (DAMON), so
	// the best of a few warm starts counts.
	most := int64(1 << 62)
	for try := 0; try < 5 && most > 10; try++ {
		if try > 0 {
			for _, command := range [][]string{{"clear"}, {"warm", recorded}} {
				if _, err := second.Run(t.Context(), command[0], command[1:]...); err != nil {
					t.Fatal(err)
				}
			}
		}
		server.Reset()
		before := status(t, second)
		imports(t, second, 1)
		most = 0
		for i, n := range status(t, second).Nodes {
			most = max(most, n.Requests["READ"]-before.Nodes[i].Requests["READ"])
			if n.Warm.Active || n.Warm.Gone+n.Warm.Failed+n.Warm.Changed+n.Warm.LeftOut > 0 || n.Warm.Mapped < 40<<20 {
				t.Errorf("rank %d: warmed %+v", i, n.Warm)
			}
		}
		if c := server.Counts(); c.Metadata() > 0 || c.Bytes > 0 {
			t.Errorf("the import of a warm job reached the PFS: %+v", c.Tally)
		}
	}
	if most > 10 {
		t.Errorf("%d READs for the first import of a warm job", most)
	}
	if _, err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, b := lines(t, recorded), lines(t, filepath.Join(dir, "jobs", "second", "manifest.gz")); b < a {
		t.Errorf("the warm job recorded %d accesses, the one before it %d", b, a)
	}
}

func lines(t *testing.T, manifest string) int {
	t.Helper()
	out, err := exec.Command("zcat", manifest).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(out), "\n")
}

// TestWarmDirectory: everything below is in memory on every node, read once from the PFS; what does
// not fit is said and still right.
func TestWarmDirectory(t *testing.T) {
	const nodes = 3
	for name, memory := range map[string]string{"all of it": "256MiB", "a part of it": "32MiB"} {
		t.Run(name, func(t *testing.T) {
			backing := t.TempDir()
			if err := os.MkdirAll(filepath.Join(backing, "env", "deep"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := oracle.RandomTree(filepath.Join(backing, "env", "deep"), 7); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(backing, "env", "large"), make([]byte, 40<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			dir, server := pfs(t, backing, nodes)
			job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir),
				Args: append([]string{"-T", "1", "--memory", memory}, lifetime...)})
			out, err := job.Run(t.Context(), "warm", filepath.Join(job.Mount(0), "env"))
			if err != nil {
				t.Fatal(err)
			}
			if full := !strings.Contains(out, "found no room"); full != (memory == "256MiB") || !strings.HasPrefix(out, "warm: 3 nodes") {
				t.Errorf("copper warm says\n%s", out)
			}
			if memory == "32MiB" { // another order has as much room as the first
				before := status(t, job).Nodes[0].Warm.Bytes
				if _, err := job.Run(t.Context(), "warm", filepath.Join(job.Mount(0), "env")); err != nil {
					t.Fatal(err)
				}
				if after := status(t, job).Nodes[0].Warm.Bytes; after != 2*before || before == 0 {
					t.Errorf("%d bytes loaded by the first order, %d by both", before, after)
				}
			}
			if memory == "256MiB" {
				once(t, backing, askedByPath(server), 1)
				server.Reset()
			}
			for i := range nodes {
				differences, compared, err := oracle.Compare(filepath.Join(job.Mount(i), "env"), filepath.Join(backing, "env"))
				if err != nil || compared < 250 || len(differences) > 0 {
					t.Fatalf("node %d: %d names compared, %v: %v", i, compared, differences, err)
				}
			}
			if c := server.Counts(); memory == "256MiB" && c.Bytes > 0 {
				t.Errorf("a warm tree was read from the PFS: %+v", c.Tally)
			}
		})
	}
}

// TestWarmBadInput: exit 2, one line that names the input, and a job stays as it is; launch starts none.
func TestWarmBadInput(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	notes := filepath.Join(dir, "notes")
	if err := os.WriteFile(notes, []byte("not a manifest\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		filepath.Join(dir, "none"): "there is no such manifest or directory",
		notes:                      `notes:1: want "copper-manifest 1"`,
		"/dev/null":                "neither a manifest nor a directory",
	} {
		_, err := cluster.Launch(t.Context(), cluster.Options{Copper: binary(t, "copper"), Dir: dir, Nodes: 1, Target: target,
			Args: []string{"--warm", arg}})
		refused(t, err, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "jobs")); err == nil {
		t.Error("something was started")
	}
	job := start(t, cluster.Options{Dir: dir, Nodes: 1, Target: target})
	_, err := job.Run(context.Background(), "warm", "/usr")
	refused(t, err, "/usr: it is not below "+target)
	if w := status(t, job).Nodes[0].Warm; w.Accesses != 0 {
		t.Errorf("warmed %+v", w)
	}
}

func refused(t *testing.T, err error, want string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(err.Error(), want) {
		t.Errorf("%v; want exit code 2 and %q", err, want)
	}
}
