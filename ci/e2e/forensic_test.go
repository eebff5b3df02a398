package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/ci/cluster"
)

// TestForensic: a directory that is listed, with attributes for the kernel or without, makes none of its
// files look used; and with --kernel-cache off each use of a file is counted, not only the first.
func TestForensic(t *testing.T) {
	for _, c := range []struct {
		kernel string
		uses   bool // every one is counted
	}{{"on", false}, {"off", true}} {
		t.Run(c.kernel, func(t *testing.T) {
			const uses = 3
			dir, _ := pfs(t, listable(t), 1)
			job := start(t, cluster.Options{Dir: dir, Nodes: 1, Target: cluster.Target(dir),
				Args: append([]string{"--job", "looked", "-A", "--kernel-cache", c.kernel}, lifetime...)})
			out := filepath.Join(dir, "jobs", "looked")
			// Listed first, so that the kernel may have the attributes of all of them from there.
			code := `import os, sys
names = sorted(os.listdir(sys.argv[1]))
assert names == ["listed", "stated", "used"], names
for entry in os.scandir(sys.argv[1]): assert entry.is_file()
os.stat(sys.argv[1] + "/stated")
for _ in range(int(sys.argv[2])):
	assert open(sys.argv[1] + "/used").read() == "content"
	os.listdir(sys.argv[1])`
			if said, err := exec.Command("python3", "-c", code, job.Mount(0)+"/dir", "3").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			if _, err := job.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			paths := map[string]map[string]float64{}
			for _, file := range endingWith(t, out+"/profiling/final", "-profiling_path_table.csv") {
				paths = table(t, file)
			}
			if paths["/dir"]["readdir"] == 0 || paths["/dir/used"]["read"] == 0 {
				t.Fatalf("nobody asked: %v", paths)
			}
			if p, ok := paths["/dir/listed"]; ok {
				t.Errorf("listed, and not used: %v", p)
			}
			used := paths["/dir/used"]
			if c.uses && (used["read"] < uses || used["lookup"] < uses || paths["/dir/stated"]["lookup"] < 1 || paths["/dir"]["readdir"] < uses) {
				t.Errorf("%d uses: %v of all", uses, paths)
			}
			if !c.uses && (used["read"] >= uses || used["lookup"] > 1) {
				t.Errorf("the kernel asks again: %v", used)
			}
			for _, sub := range [][]string{{"paths", out, "--usage-root", "/dir", "--target", filepath.Join(dir, "pfs0")}, {"aggregate", out}} {
				if said, err := exec.Command(job.Copper, append([]string{"profile"}, sub...)...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v: %s", sub, err, said)
				}
			}
			list := func(name string) []string {
				content, err := os.ReadFile(filepath.Join(out, "profiling/cluster", name+".txt"))
				if err != nil {
					t.Error(err)
				}
				return strings.Fields(string(content))
			}
			if got := list("used_paths_existing"); !slices.Contains(got, "/dir/used") || slices.Contains(got, "/dir/listed") {
				t.Errorf("used: %v", got)
			}
			if got := list("same_run_candidate_not_observed_existing_paths"); !slices.Contains(got, "/dir/listed") || slices.Contains(got, "/dir/used") {
				t.Errorf("not observed: %v", got)
			}
			off := table(t, out+"/profiling/cluster/cluster-profiling_aggregate.csv")["kernel_cache_off"]["value"]
			if (off == 1) != c.uses {
				t.Errorf("kernel_cache_off: %v", off)
			}
		})
	}
}

// listable is a PFS with a directory of three files.
func listable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"listed", "stated", "used"} {
		if err := os.WriteFile(filepath.Join(dir, "dir", name), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
