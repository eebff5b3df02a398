package e2e

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/slowfs"
)

// table reads a CSV file below its heading: the numbers of the rows by the row's first field and the
// column's name. What is no number is left out.
func table(t *testing.T, path string) map[string]map[string]float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", path, len(rows), err)
	}
	got := map[string]map[string]float64{}
	for _, row := range rows[1:] {
		got[row[0]] = map[string]float64{}
		for i, field := range row[1:] {
			if v, err := strconv.ParseFloat(field, 64); err == nil {
				got[row[0]][rows[0][i+1]] = v
			}
		}
	}
	return got
}

// endingWith are the files in dir whose names end so.
func endingWith(t *testing.T, dir, suffix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ioctls calls ioctl(2) on a path of a mount.
func ioctls(t *testing.T, path string, numbers ...int) {
	t.Helper()
	args := []string{"-c", "import fcntl,os,sys\nfd = os.open(sys.argv[1], os.O_RDONLY)\nfor n in sys.argv[2:]: fcntl.ioctl(fd, int(n))", path}
	for _, n := range numbers {
		args = append(args, strconv.Itoa(n))
	}
	if out, err := exec.Command("python3", args...).CombinedOutput(); err != nil {
		t.Errorf("ioctls %v: %v: %s", numbers, err, out)
	}
}

// TestProfile: a job with all of profiling on writes every file, and what the files say agrees among
// them, with copper status and with what the PFS counted.
func TestProfile(t *testing.T) {
	const nodes = 4
	ctx := context.Background()
	dir, server := pfs(t, site(t), nodes)
	job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir),
		Args: append([]string{"--job", "prof", "-T", "2", "-P", "-N", "50", "-A", "-I", "1"}, lifetime...)})
	out := filepath.Join(dir, "jobs", "prof")
	aggregate := func(args ...string) (string, error) {
		said, err := exec.Command(job.Copper, append([]string{"profile"}, args...)...).CombinedOutput()
		return string(said), err
	}
	said, err := aggregate("aggregate", out)
	if err == nil || !strings.Contains(said, "too early") || !strings.Contains(said, "the job is ready") {
		t.Errorf("of a job that runs: %v: %s", err, said)
	}
	said, err = aggregate("paths", filepath.Join(dir, "jobs"))
	if err == nil || !strings.Contains(said, "not the right directory") {
		t.Errorf("of no job: %v: %s", err, said)
	}

	imports(t, job, 1)
	ioctls(t, job.Mount(1)+"/numpy", 200, 300, 400, 500, 600, 1100, 1200, 1300, 1700, 2000, 2200, 2300, 2400, 2500)
	written := map[string]map[string]map[string]float64{}
	for _, name := range []string{"operation_counts", "operation_times", "cache_hits", "cache_misses", "data_cache_events", "tree_cache_events",
		"metadata_cache_events", "ioctl_events", "data_cache_size", "tree_cache_size", "metadata_cache_size", "profiling_aggregate", "profiling_operations"} {
		if found := endingWith(t, out+"/profiling/ioctl", "-"+name+".csv"); len(found) == 1 {
			written[name] = table(t, found[0])
		} else {
			t.Errorf("ioctl: %d files %s", len(found), name)
		}
	}
	counts, hitsOf, missesOf := written["operation_counts"]["read"]["calls"], written["cache_hits"]["read"]["hits"], written["cache_misses"]["read"]["misses"]
	if counts == 0 || counts != hitsOf+missesOf || written["operation_times"]["read"]["total_latency_seconds"] <= 0 || written["ioctl_events"]["300"]["calls"] != 1 ||
		written["data_cache_size"]["bytes"]["value"] != written["profiling_aggregate"]["data_cache_bytes"]["value"] {
		t.Errorf("ioctls wrote %v", written)
	}
	// The others, on another node, whose figures begin at 0 again; the job's own don't.
	ioctls(t, job.Mount(2)+"/numpy", 700, 800, 900, 1000, 1400, 1500, 1600, 2100, 300, 500, 1100, 2200, 1800, 1900, 600, 100, 2300)
	for name, figure := range map[string]string{"operation_counts": "calls", "cache_hits": "hits", "cache_misses": "misses"} {
		for _, file := range endingWith(t, out+"/profiling/ioctl", "-"+name+".csv") {
			if file := table(t, file); file["read"][figure] != 0 && file["read"][figure] != written[name]["read"][figure] {
				t.Errorf("%s does not begin again: %v", name, file["read"])
			}
		}
		if n := len(endingWith(t, out+"/profiling/ioctl", "-"+name+".csv")); n != 2 {
			t.Errorf("%s of %d nodes", name, n)
		}
	}
	emptied := 0
	for _, file := range endingWith(t, out+"/profiling/ioctl", "-data_cache_size.csv") {
		if table(t, file)["entries"]["value"] == 0 {
			emptied++
		}
	}
	if emptied != 1 {
		t.Errorf("%d nodes have no data after 100 was called on one", emptied)
	}
	if s, err := job.Run(ctx, "status", "--csv"); err != nil || !strings.Contains(s, "all,,combined,") {
		t.Errorf("status --csv: %v: %s", err, s)
	}
	sets := func() []string { return endingWith(t, out+"/profiling/runtime-snapshot-*", "-profiling_aggregate.csv") }
	for began := time.Now(); len(sets()) < nodes && time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
	}
	before := status(t, job)
	summary, err := job.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	counted := server.Counts() // before its tree is walked

	small := []string{"_summary.md", "_operations.csv", "_aggregate.csv", "_timeline.csv", "_top_paths.csv"}
	for set, want := range map[string][]string{"pre-destroy": small, "final": append(slices.Clone(small), "_path_table.csv")} {
		for _, suffix := range want {
			if got := endingWith(t, out+"/profiling/"+set, "-profiling"+suffix); len(got) != nodes {
				t.Errorf("%s: %d files *-profiling%s, want %d", set, len(got), suffix, nodes)
			}
		}
		if all := endingWith(t, out+"/profiling/"+set, ""); len(all) != nodes*len(want) {
			t.Errorf("%s: %d files", set, len(all))
		}
	}
	if len(sets()) < nodes {
		t.Errorf("%d files of runtime snapshots", len(sets()))
	}
	for _, name := range []string{"data", "tree", "metadata"} {
		if n := len(endingWith(t, out+"/tables/final", "-"+name+"_cache_table.csv")); n != nodes {
			t.Errorf("tables: %s: %d files", name, n)
		}
		table(t, endingWith(t, out+"/tables/ioctl", "-"+name+"_cache_table.csv")[0])
	}

	if said, err := aggregate("aggregate", out, "all"); err != nil {
		t.Fatalf("aggregate: %v: %s", err, said)
	}
	if said, err := aggregate("paths", out, "--usage-root", "/", "--target", filepath.Join(dir, "pfs0")); err != nil {
		t.Fatalf("paths: %v: %s", err, said)
	}
	if said, err := aggregate("report", out, "all"); err != nil {
		t.Fatalf("report: %v: %s", err, said)
	}
	report, err := os.ReadFile(out + "/profiling/cluster/all-profiling_report.html")
	for _, want := range []string{"in job prof", "When the ranks asked", "copper serve", "</html>"} {
		if err != nil || !strings.Contains(string(report), want) {
			t.Errorf("report: %q is not in it, %v", want, err)
		}
	}
	desk := inBrowser(t, out+"/profiling/cluster/all-profiling_report.html")
	desk.sections(t, "Operations at the parallel file system", "Bytes read from the parallel file system", "When the ranks asked",
		"Requests and how long they took", "What the parallel file system was asked", "The trees and their balance", "How even the ranks are",
		"What the nodes held at the end", "Kinds of paths", "What is worth routing", "What is worth pruning", "Hottest paths", "Where this is from")
	if desk.Headings != nil && (len(desk.Plots) < 7 || desk.Shapes < 10) {
		t.Errorf("%d plots with %d shapes", len(desk.Plots), desk.Shapes)
	}
	totals := map[string]float64{}
	for name, columns := range table(t, out+"/profiling/cluster/all-profiling_aggregate.csv") {
		totals[name] = columns["value"]
	}
	same := func(what string, got, want float64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	// The sum of the ranks, and within the sum.
	var ranks, paths, calls, hits, misses, requests float64
	for _, file := range endingWith(t, out+"/profiling/final", "-profiling_aggregate.csv") {
		ranks += table(t, file)["total_cache_hits"]["value"]
	}
	for _, file := range endingWith(t, out+"/profiling/final", "-profiling_path_table.csv") {
		for _, p := range table(t, file) {
			paths += p["lookup"] + p["getattr"] + p["readlink"] + p["read"] + p["readdir"] + p["statfs"]
		}
	}
	for _, o := range table(t, out+"/profiling/cluster/all-profiling_operations.csv") {
		calls += o["calls"]
		hits += o["hits"]
		misses += o["misses"]
		if o["measured"] == 1 {
			requests += o["calls"]
		}
		same("hits and misses", o["hits"]+o["misses"], o["calls"]*o["measured"])
	}
	same("ranks", totals["ranks"], nodes)
	same("hits of the ranks", ranks, totals["total_cache_hits"])
	same("hits of the operations", hits, totals["total_cache_hits"])
	same("misses of the operations", misses, totals["total_cache_misses"])
	same("calls of the operations", calls, totals["total_counted_fuse_operations"])
	same("requests of the paths", paths, requests)
	same("bytes saved", totals["estimated_bytes_saved_by_copper"], totals["total_read_bytes"]-totals["pfs_read_bytes"])
	same("bytes saved of the status", totals["estimated_bytes_saved_by_copper"], float64(before.Totals.PFSBytesSaved))
	same("saved", totals["estimated_cache_served_operations_saved_by_copper"], totals["kernel_questions"]-totals["pfs_operations"])
	// The status before the stop: nobody asked since.
	same("PFS operations of the status", totals["pfs_operations"], float64(before.Totals.PFSOperations))
	same("PFS bytes of the status", totals["pfs_read_bytes"], float64(before.Totals.PFSBytes))
	if totals["total_read_bytes"] == 0 || totals["total_measured_latency_seconds"] <= 0 || totals["total_negative_results"] == 0 ||
		totals["metadata_enoent_ttl_serves"] == 0 || totals["tree_0_bytes_out"]+totals["tree_1_bytes_out"] == 0 {
		t.Errorf("nothing was counted: %v", totals)
	}
	// The closing summary.
	for _, want := range []string{fmt.Sprintf("requests     %.0f answered", calls), fmt.Sprintf("%.0f operations and ", totals["pfs_operations"]),
		fmt.Sprintf("made; %.0f operations and ", totals["estimated_cache_served_operations_saved_by_copper"]),
		fmt.Sprintf("failovers    %.0f questions", totals["failovers"]), "outputs      " + out, "copper profile report " + out} {
		if !strings.Contains(summary, want) {
			t.Errorf("the summary lacks %q:\n%s", want, summary)
		}
	}
	// What the PFS counted. Its clients' kernels read whole pages, and walk.
	same("listings of the PFS", totals["pfs_readdir"], float64(counted.Listings))
	same("files opened at the PFS", totals["pfs_open"], float64(counted.Op(slowfs.OpOpen)))
	same("links of the PFS", totals["pfs_readlink"], float64(counted.Op(slowfs.OpReadLink)))
	// Its clients look up what leads to a path as well, and each root has a client of its own.
	looked := float64(counted.Op(slowfs.OpLookup) + counted.Op(slowfs.OpGetAttr))
	if got := totals["pfs_lstat"]; got > looked || 2*got < looked {
		t.Errorf("%v attributes asked of the PFS, which counted %v", got, looked)
	}
	if got, want := totals["pfs_read"], float64(counted.Op(slowfs.OpRead)); got > want || got < float64(counted.Bytes)/(1<<20) {
		t.Errorf("%v chunks read from the PFS, which counted %v reads of %d bytes", got, want, counted.Bytes)
	}
	if got, want := totals["pfs_read_bytes"], float64(counted.Bytes); got > want || got < 0.98*want {
		t.Errorf("%v bytes read from the PFS, which counted %v", got, want)
	}
	// Each path of the lists is there, or is not.
	lists := map[string][]string{}
	for _, name := range []string{"all_possible_existing_paths", "used_paths_existing", "same_run_candidate_not_observed_existing_paths",
		"missing_probe_paths", "roots_and_counts"} {
		content, err := os.ReadFile(filepath.Join(out, "profiling/cluster", name+".txt"))
		if err != nil || len(content) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(content), err)
		}
		lists[name] = strings.Fields(string(content))
	}
	for _, p := range lists["used_paths_existing"] {
		if _, err := os.Lstat(site(t) + p); err != nil {
			t.Errorf("used: %v", err)
		}
	}
	for _, p := range lists["missing_probe_paths"] {
		if _, err := os.Lstat(site(t) + p); err == nil {
			t.Errorf("missed, and it is there: %s", p)
		}
	}
	all, used := len(lists["all_possible_existing_paths"]), len(lists["used_paths_existing"])
	if rest := len(lists["same_run_candidate_not_observed_existing_paths"]); all != used+rest || rest == 0 || used < 500 {
		t.Errorf("%d paths, %d used, %d not", all, used, rest)
	}
	t.Logf("%v requests, %v hits, %v misses, %v PFS operations, %v bytes; %d of %d paths used", calls, hits, misses,
		totals["pfs_operations"], totals["pfs_read_bytes"], used, all)
}

// TestWithoutCopper: what the outputs say that there would have been to do without Copper is no more than
// what a node without it does, and not much less.
func TestWithoutCopper(t *testing.T) {
	direct, server := pfs(t, site(t), 1)
	if err := cluster.Together(1, 1, func(int) *exec.Cmd {
		return cluster.Python(t.Context(), filepath.Join(direct, "pfs0"), "import scipy.stats")
	}); err != nil {
		t.Fatal(err)
	}
	truth := server.Counts()
	dir, _ := pfs(t, site(t), 1)
	job := start(t, cluster.Options{Dir: dir, Nodes: 1, Target: cluster.Target(dir), Args: lifetime})
	imports(t, job, 1)
	said := status(t, job).Nodes[0]
	questions := int64(0)
	for _, op := range []string{"LOOKUP", "GETATTR", "READLINK", "READ", "READDIR"} {
		questions += said.Requests[op]
	}
	operations := truth.Metadata() + truth.Op(slowfs.OpRead)
	t.Logf("said: %d operations, %d bytes; a node without Copper: %d, %d of them to open files and directories; %d bytes", questions, said.ReadBytes,
		operations, truth.Op(slowfs.OpOpen)+truth.Op(slowfs.OpOpenDir), truth.Bytes)
	if questions > operations || 2*questions < operations {
		t.Errorf("%d operations instead of %d", questions, operations)
	}
	if said.ReadBytes > truth.Bytes*102/100 || 2*said.ReadBytes < truth.Bytes {
		t.Errorf("%d bytes instead of %d", said.ReadBytes, truth.Bytes)
	}
}

// TestProfileNothing: where nothing was asked for, nothing is written, and that is what the tools say.
func TestProfileNothing(t *testing.T) {
	job := start(t, cluster.Options{Nodes: 1, Target: t.TempDir(), Args: []string{"--job", "bare"}})
	if _, err := job.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(job.Dir, "jobs", "bare")
	for _, name := range []string{"profiling", "tables"} {
		if _, err := os.Lstat(filepath.Join(out, name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cmd := exec.Command(job.Copper, "profile", "aggregate", out)
	said, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(said), "the job is stopped: it was to be started with -P") {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), said)
	}
}
