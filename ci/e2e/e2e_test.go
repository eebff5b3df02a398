package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/oracle"
	"github.com/copper-hpc/copper/ci/slowfs"
	"github.com/copper-hpc/copper/launch"
)

// binary is the path of a binary that `make` builds.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("COPPER_E2E")
	if dir == "" {
		t.Skip("COPPER_E2E does not name the directory with the binaries: use `make e2e`")
	}
	return filepath.Join(dir, name)
}

// start launches a job on target and stops it at the end of the test.
func start(t *testing.T, o cluster.Options) *cluster.Job {
	t.Helper()
	if o.Copper == "" {
		o.Copper = binary(t, "copper")
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	job, err := cluster.Launch(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !job.Stopped {
			if _, err := job.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if left := mountsBelow(t, o.Dir, "fuse.copper"); len(left) > 0 {
			t.Errorf("still mounted: %v", left)
		}
	})
	return job
}

// pfs starts a slow file system in a directory of the test's own, which it returns too.
func pfs(t *testing.T, backing string, nodes int) (string, *slowfs.Server) {
	t.Helper()
	dir := t.TempDir()
	server, err := cluster.PFS(dir, backing, nodes, slowfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, server
}

func mountsBelow(t *testing.T, dir, fsType string) []string {
	t.Helper()
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], dir) && strings.Contains(line, " - "+fsType+" ") {
			points = append(points, f[4])
		}
	}
	return points
}

func status(t *testing.T, job *cluster.Job) launch.Status {
	t.Helper()
	var s launch.Status
	if err := job.Status(context.Background(), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Nodes) != job.Nodes || len(s.Missing) > 0 {
		t.Fatalf("status of %d nodes, %d missing, want %d", len(s.Nodes), len(s.Missing), job.Nodes)
	}
	return s
}

// sitePackages is a copy of numpy and scipy that all tests share.
var sitePackages = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "copper-e2e-")
	if err != nil {
		return "", err
	}
	path, err := cluster.CopyPackages(dir)
	time.Sleep(settled) // listings of directories that change are not kept by anybody
	return path, err
})

// settled is longer than it takes until a directory counts as quiet.
const settled = 3 * time.Second

func site(t *testing.T) string {
	t.Helper()
	path, err := sitePackages()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	if os.Getenv(asProber) != "" {
		os.Exit(probe(os.Args[1]))
	}
	for _, e := range cluster.MPIEnvironment() {
		if name, value, ok := strings.Cut(e, "="); ok {
			os.Setenv(name, value)
		}
	}
	code := m.Run()
	if path, err := sitePackages(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// imports runs the import on all nodes at once and checks that the packages came from the mount.
func imports(t *testing.T, job *cluster.Job, times int) {
	t.Helper()
	err := cluster.Together(job.Nodes, times, func(node int) *exec.Cmd {
		return cluster.Python(context.Background(), job.Mount(node), fmt.Sprintf(
			"import scipy.stats, numpy; assert scipy.__file__.startswith(%q), scipy.__file__; "+
				"assert abs(scipy.stats.norm.cdf(1.96)-0.975) < 1e-4; assert numpy.arange(9).sum() == 36", job.Mount(node)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asked is what the PFS was asked for one path, in the terms: its attributes, its bytes,
// its listing. The walk along directories that leads to a path is counted on the directories.
type asked struct{ attributes, bytes, listings, links int64 }

func askedByPath(server *slowfs.Server) map[string]asked {
	m := map[string]asked{}
	for path, p := range server.CountsWithPaths().Paths {
		m[path] = asked{
			attributes: p.Operations[slowfs.OpLookup] + p.Operations[slowfs.OpGetAttr],
			bytes:      p.Bytes, listings: p.Listings, links: p.Operations[slowfs.OpReadLink],
		}
	}
	return m
}

// lifetime outlasts the test, so that no listing is revalidated meanwhile.
var lifetime = []string{"-E", "3600000"}

// TestImportCounts: whatever the number of nodes, the PFS is asked for each file's bytes once,
// each listing once, each attribute once, misses included.
func TestImportCounts(t *testing.T) {
	var alone asked
	var aloneBytes int64
	for _, nodes := range []int{1, 2, 4, 8} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			dir, server := pfs(t, site(t), nodes)
			job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir), Args: lifetime})
			server.Reset() // each daemon has looked at its target
			imports(t, job, 1)
			got := askedByPath(server)
			once(t, site(t), got, 1)
			var total asked
			for _, a := range got {
				total.attributes += a.attributes
				total.listings += a.listings
				total.links += a.links
			}
			bytes := status(t, job).Totals.PFSBytes
			t.Logf("%d nodes: %+v, %d bytes, %d names", nodes, total, bytes, len(got))
			if nodes == 1 {
				alone, aloneBytes = total, bytes
			}
			if total != alone || bytes != aloneBytes {
				t.Errorf("%d nodes ask the PFS for %+v and %d bytes, one node for %+v and %d bytes",
					nodes, total, bytes, alone, aloneBytes)
			}
		})
	}
}

// page is what the kernel of a PFS client, under pressure, may read twice of what Copper asked for
// once. A file that Copper asked for twice would be counted with all its bytes twice.
const page = 4096

// once checks every path's counts. A directory's attributes are asked again by every PFS client,
// that is by every tree's root, whose walk leads through it.
func once(t *testing.T, backing string, got map[string]asked, trees int64) {
	t.Helper()
	for path, a := range got {
		info, err := os.Lstat(filepath.Join(backing, path))
		limit := int64(1)
		if err == nil && info.IsDir() {
			limit = trees
		}
		if path != "/" && a.attributes > limit {
			t.Errorf("%s: attributes asked %d times", path, a.attributes)
		}
		if err == nil && a.bytes > info.Size()+page {
			t.Errorf("%s: %d bytes read of a file of %d", path, a.bytes, info.Size())
		}
		if a.listings > 1 || a.links > 1 {
			t.Errorf("%s: listed %d times, link read %d times", path, a.listings, a.links)
		}
	}
}

// TestImportCountsManyTrees: the same with as many trees as nodes; only the walk along
// directories is done by each root.
func TestImportCountsManyTrees(t *testing.T) {
	const nodes = 4
	dir, server := pfs(t, site(t), nodes)
	job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir), Args: append([]string{"-T", "4"}, lifetime...)})
	imports(t, job, 1)
	once(t, site(t), askedByPath(server), nodes)
	readers := 0
	for _, n := range status(t, job).Nodes {
		if n.PFS.Bytes > 0 {
			readers++
		}
	}
	if readers != nodes {
		t.Errorf("%d of %d nodes read the PFS", readers, nodes)
	}
}

// TestSecondProcess: once a process on a node has imported, the next one causes no request to the
// daemon but CPython's one ioctl per opened file. Some machines' kernels give up pages that nobody
// has used for a while (DAMON) and must read them again, so the best of a few imports counts.
func TestSecondProcess(t *testing.T) {
	dir, server := pfs(t, site(t), 1)
	job := start(t, cluster.Options{Dir: dir, Nodes: 1, Target: cluster.Target(dir), Args: lifetime})
	imports(t, job, 1)
	server.Reset()
	var asked []string
	for range 10 {
		before := status(t, job).Nodes[0].Requests
		imports(t, job, 1)
		asked = nil
		for op, n := range status(t, job).Nodes[0].Requests {
			// Forgetting is the kernel's own housekeeping.
			if more := n - before[op]; more > 0 && op != "IOCTL" && op != "FORGET" && op != "BATCH_FORGET" {
				asked = append(asked, fmt.Sprintf("%d %s", more, op))
			}
		}
		if asked == nil {
			break
		}
	}
	if asked != nil {
		t.Errorf("requests for an import on a warm node: %v", asked)
	}
	if c := server.Counts(); c.Metadata() > 0 || c.Bytes > 0 {
		t.Errorf("the second import reached the PFS: %+v", c.Tally)
	}
}

// TestOracle: every mount shows what is behind it, by every way of reading, and is read-only.
func TestOracle(t *testing.T) {
	for _, mpi := range []string{"copper", "copper-mpich"} {
		t.Run(mpi, func(t *testing.T) {
			const nodes = 4
			tree := filepath.Join(t.TempDir(), "tree")
			if err := os.Mkdir(tree, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := oracle.RandomTree(tree, 42); err != nil {
				t.Fatal(err)
			}
			job := start(t, cluster.Options{Copper: binary(t, mpi), Nodes: nodes, Target: tree, Args: []string{"-T", "3"}})
			for i := range nodes {
				differences, compared, err := oracle.Compare(job.Mount(i), tree)
				if err != nil || compared < 250 {
					t.Fatalf("node %d: %d names compared: %v", i, compared, err)
				}
				for _, d := range differences {
					t.Errorf("node %d: %s", i, d)
				}
			}
			for _, n := range status(t, job).Nodes {
				if n.Failovers > 0 || n.DirectReads > 0 {
					t.Errorf("rank %d: %d failovers, %d direct reads among healthy nodes", n.Rank, n.Failovers, n.DirectReads)
				}
			}
		})
	}
}
