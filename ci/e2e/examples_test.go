package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// examples are the scripts of a folder of an installation's examples, of which there are so many at least.
func examples(t *testing.T, root, folder string, least int) []string {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(root, "share/copper/examples", folder, "*.sh"))
	if err != nil || len(scripts) < least {
		t.Fatalf("examples: %v, %v", scripts, err)
	}
	return scripts
}

// stagedFor is an installation in which copper is the binary for an MPI, as at a site.
func stagedFor(t *testing.T, mpi string) string {
	t.Helper()
	root := staged(t)
	if mpi != "copper" {
		if err := os.Rename(filepath.Join(root, "bin", mpi), filepath.Join(root, "bin", "copper")); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// told checks what an example said: the packages were imported from below a directory, and the status.
func told(t *testing.T, out, below string, imports int, status string) {
	t.Helper()
	// What ranks say at once need not end with a line each.
	line := regexp.QuoteMeta(below) + `[^\n]*?/numpy/__init__\.py`
	n := len(regexp.MustCompile(line).FindAllString(out, -1))
	if n != imports {
		t.Errorf("%d of %d imports from %s:\n%s", n, imports, below, out)
	}
	if !strings.Contains(out, status) {
		t.Errorf("no status:\n%s", out)
	}
}

// TestLocalExamples runs each script of examples/local_examples and examples/features_examples as a user would.
func TestLocalExamples(t *testing.T) {
	root := stagedFor(t, "copper")
	imports := map[string]int{"warm_start.sh": 2, "warm_start_bare.sh": 2}
	for folder, status := range map[string]string{"local_examples": "4 of 4 nodes answer", "features_examples": "1 of 1 nodes answer"} {
		for _, script := range examples(t, root, folder, 2) {
			name := filepath.Base(script)
			t.Run(filepath.Join(folder, name), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				defer cancel()
				tmp := t.TempDir()
				cmd := exec.CommandContext(ctx, script, site(t))
				cmd.Env = append(os.Environ(), "HOME="+tmp, "TMPDIR="+tmp, "COPPER_ROOT="+root, "COPPER_E2E=")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				n := imports[name]
				if n == 0 {
					n = map[string]int{"local_examples": 4, "features_examples": 1}[folder]
				}
				told(t, string(out), tmp, n, status)
				if left := mountsBelow(t, tmp, "fuse.copper"); len(left) > 0 {
					t.Errorf("still mounted: %v", left)
				}
			})
		}
	}
}

// pals is PALS's mpiexec as far as Copper and the examples use it, played by MPICH's on the hosts of the PBS job.
const pals = `#!/bin/bash
if [ "${1-}" = --version ]; then echo "mpiexec (PALS)"; exit; fi
args=(-hosts "$(sort -u "$PBS_NODEFILE" | paste -sd,)")
while :; do
  case $1 in
    --hosts|--hostfile) args[1]=$2; [ $1 = --hosts ] || args[0]=-f; shift ;;
    --np|--ppn) args+=("-${1#--}" "$2"); shift ;;
    --genv=*) pair=${1#--genv=}; args+=(-genv "${pair%%=*}" "${pair#*=}") ;;
    --genvall) args+=(-genvall) ;;
    --cpu-bind=list:*|--cpu-bind=none|--no-abort-on-failure) ;;
    *) break ;;
  esac
  shift
done
exec mpiexec.hydra "${args[@]}" "$@"
`

// siteEnvironment is what an example finds where it runs: the installation in the PATH, as its module puts it
// there, and no cores of a supercomputer.
func siteEnvironment(t *testing.T, root, programs string) []string {
	return []string{"PATH=" + programs + ":" + filepath.Join(root, "bin") + ":/usr/bin:/bin", "COPPER_ROOT=" + root, "COPPER_CORES=none",
		"PACKAGES=" + site(t), "RANKS_PER_NODE=2", "PYTHONDONTWRITEBYTECODE=1", "OPENBLAS_NUM_THREADS=1"}
}

// expected tells from below which directory an example imports, and what status it prints.
func expected(t *testing.T, script string) (below, status string) {
	if strings.Contains(script, "without") {
		return site(t), ""
	}
	return onMount, "2 of 2 nodes answer"
}

// TestHostsExamples runs each script of examples/aurora_examples as a PBS job on two hosts.
func TestHostsExamples(t *testing.T) {
	m := pbs(t, 2)
	root := stagedFor(t, "copper-mpich")
	programs := filepath.Join(m.dir, "pals")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(programs, "mpiexec"), []byte(pals), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.Show(root); err != nil {
		t.Fatal(err)
	}
	for _, script := range examples(t, root, "aurora_examples", 3) {
		t.Run(filepath.Base(script), func(t *testing.T) {
			below, status := expected(t, script)
			told(t, m.run(m.Hosts()[0], script+" 2>&1", siteEnvironment(t, root, programs)...), below, 4, status)
			m.nothingLeft(m.Hosts()...)
		})
	}
}

// TestSlurmExamples submits each script of examples/frontier_examples to Slurm.
func TestSlurmExamples(t *testing.T) {
	plugins := map[string]string{"copper": "pmix", "copper-mpich": "pmi2"} // of the site's MPI
	for mpi, options := range machines {
		t.Run(mpi, func(t *testing.T) {
			b := slurmOn(t, 2, options...)
			root := stagedFor(t, mpi)
			if err := b.Show(root); err != nil {
				t.Fatal(err)
			}
			for _, script := range examples(t, root, "frontier_examples", 3) {
				t.Run(filepath.Base(script), func(t *testing.T) {
					below, status := expected(t, script)
					env := append(siteEnvironment(t, root, "/usr/sbin"), "SLURM_MPI_TYPE="+plugins[mpi], "SLURM_PMIX_FENCE=tree", "SBATCH_EXCLUSIVE=exclusive")
					j := b.submitted(script, env...)
					if state := j.over(); state != "COMPLETED" {
						t.Fatalf("%s: %s\n%s", state, j.said(), b.logs())
					}
					told(t, j.said(), below, 4, status)
					b.nothingLeft(b.Hosts()...)
				})
			}
		})
	}
}
