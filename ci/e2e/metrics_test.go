package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/copper-hpc/copper/ci/cluster"
)

// counted is what `copper status --json` tells of all nodes.
type counted struct {
	Cluster struct {
		Counted struct {
			Metrics    map[string]float64
			Operations map[string]struct {
				Calls   int64
				Latency int64  `json:"total_latency_ns"`
				Buckets string `json:"latency_buckets"`
			}
		}
	}
	Missing []struct {
		Rank int
		Host string
	}
	Note string
}

// sumOf adds up the metrics of all trees.
func (c *counted) sumOf(what string) (sum float64) {
	for name, v := range c.Cluster.Counted.Metrics {
		if strings.HasPrefix(name, "tree_") && strings.HasSuffix(name, "_"+what) {
			sum += v
		}
	}
	return sum
}

// families are what Prometheus reads, by name.
func families(t *testing.T, from io.Reader) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(from)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return families(t, resp.Body)
}

// TestMetrics drives what is counted, one thing after the other, and looks at the numbers, as `copper status` and as
// Prometheus have them.
func TestMetrics(t *testing.T) {
	const nodes, size = 3, 3 << 20
	ctx := context.Background()
	backing := t.TempDir()
	must(t, os.MkdirAll(backing+"/d/list", 0o755))
	must(t, os.WriteFile(backing+"/d/file", bytes.Repeat([]byte("compressible "), size)[:size], 0o644))
	must(t, os.Symlink("file", backing+"/d/link"))
	for i := range 40 {
		must(t, os.WriteFile(fmt.Sprintf("%s/d/list/f%d", backing, i), []byte("x"), 0o644))
	}
	dir, _ := pfs(t, backing, nodes)
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := probe.Addr().String()
	must(t, probe.Close())
	textfile := filepath.Join(t.TempDir(), "{rank}.prom")
	job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir), Args: []string{"--job", "metrics", "-T", "2", "-E", "400",
		"--compress", "s2", "--allow", "/d", "--prometheus", address, "--prometheus-textfile", textfile}})
	read := func() (c counted) {
		t.Helper()
		must(t, job.Status(ctx, &c))
		return c
	}
	stat := func(node int, name string, want error) {
		t.Helper()
		if _, err := os.Lstat(filepath.Join(job.Mount(node), name)); !errors.Is(err, want) {
			t.Errorf("%s on node %d: %v, want %v", name, node, err, want)
		}
	}
	last := read()
	// grew tells by how much a metric has grown since the last step.
	var now counted
	grew := func(name string) float64 {
		return now.Cluster.Counted.Metrics[name] - last.Cluster.Counted.Metrics[name]
	}
	step := func(what string, do func(), least map[string]float64, exactly map[string]float64) {
		t.Helper()
		do()
		now = read()
		for name, want := range least {
			if got := grew(name); got < want {
				t.Errorf("%s: %s grows by %v, want %v or more", what, name, got, want)
			}
		}
		for name, want := range exactly {
			if got := grew(name); got != want {
				t.Errorf("%s: %s grows by %v, want %v", what, name, got, want)
			}
		}
	}
	done := func() { last = now }

	step("a look at a file", func() { stat(0, "d/file", nil) },
		map[string]float64{"total_counted_fuse_operations": 2, "total_cache_misses": 1, "kernel_questions": 2, "pfs_lstat": 1, "store_stat_misses": 1}, nil)
	before, after := last.Cluster.Counted.Operations["lookup"], now.Cluster.Counted.Operations["lookup"]
	if after.Calls <= before.Calls || after.Latency <= before.Latency || after.Buckets == before.Buckets {
		t.Errorf("lookup: %+v after %+v", after, before)
	}
	done()
	step("the same on two other nodes", func() { stat(1, "d/file", nil); stat(2, "d/file", nil) },
		map[string]float64{"store_stat_hits": 1, "estimated_cache_served_operations_saved_by_copper": 1}, map[string]float64{"pfs_lstat": 0, "pfs_readdir": 0})
	if asked, answered := now.sumOf("asked")-last.sumOf("asked"), now.sumOf("answered")-last.sumOf("answered"); asked < 1 || asked != answered {
		t.Errorf("over the trees %v questions were put and %v answered", asked, answered)
	}
	done()
	step("what is not there", func() { stat(0, "d/none", os.ErrNotExist) },
		map[string]float64{"total_negative_results": 1, "metadata_enoent_ttl_stores": 1, "pfs_readdir": 1, "store_stat_negatives": 1}, nil)
	done()
	step("another name that is not there", func() { stat(0, "d/none2", os.ErrNotExist) },
		map[string]float64{"total_negative_results": 1, "metadata_enoent_ttl_serves": 1, "total_cache_hits": 1}, nil)
	done()
	await(t, "an absence to be asked for after its lifetime", func() bool {
		stat(0, "d/none", os.ErrNotExist)
		now = read()
		return grew("metadata_enoent_ttl_expires") > 0
	})
	done()
	step("a clear", func() {
		if _, err := job.Run(ctx, "clear", "/d"); err != nil { // that nothing is listed
			t.Fatal(err)
		}
		stat(0, "d/none", os.ErrNotExist)
		if _, err := job.Run(ctx, "clear", "/d"); err != nil {
			t.Fatal(err)
		}
	}, map[string]float64{"metadata_enoent_ttl_stores": 1, "metadata_enoent_ttl_clears": 1}, nil)
	done()
	step("a link", func() {
		if target, err := os.Readlink(filepath.Join(job.Mount(1), "d/link")); target != "file" || err != nil {
			t.Errorf("%q, %v", target, err)
		}
	}, map[string]float64{"store_readlink_misses": 1}, map[string]float64{"pfs_readlink": 1})
	done()
	step("a listing", func() {
		if names, err := os.ReadDir(filepath.Join(job.Mount(1), "d/list")); len(names) != 40 || err != nil {
			t.Errorf("%d names, %v", len(names), err)
		}
	}, map[string]float64{"store_list_misses": 1}, map[string]float64{"pfs_readdir": 1})
	done()
	step("a file on all nodes", func() {
		for node := range nodes {
			if content, err := os.ReadFile(filepath.Join(job.Mount(node), "d/file")); len(content) != size || err != nil {
				t.Errorf("%d bytes, %v", len(content), err)
			}
		}
	}, map[string]float64{"store_read_misses": 3, "compression_decoded": 3, "compression_tried": 3, "pfs_open": 1},
		map[string]float64{"pfs_read_bytes": size, "pfs_read": 3, "compression_raw_bytes": size})
	if given := grew("total_read_bytes") + grew("total_pushed_bytes"); given < nodes*size {
		t.Errorf("%v bytes were given to %d kernels, of a file of %d", given, nodes, size)
	}
	encoded := grew("compression_encoded_bytes")
	if sent := now.sumOf("bytes_out") - last.sumOf("bytes_out"); encoded <= 0 || encoded > size/2 || sent < 2*encoded || sent > 2*size {
		t.Errorf("%d bytes are %v encoded, and %v were sent to two nodes", size, encoded, sent)
	}
	done()
	step("what may not be seen", func() { stat(1, "etc", os.ErrPermission) }, map[string]float64{"total_errors": 1}, nil)
	done()
	if !strings.Contains(now.Note, "reaches no daemon and is not counted") {
		t.Errorf("note: %q", now.Note)
	}

	// The same numbers for Prometheus. Nobody has asked for anything meanwhile.
	var got map[string]*dto.MetricFamily
	await(t, "Prometheus to be told the same", func() bool {
		got = scrape(t, address)
		return got["copper_pfs_operations_total"].GetMetric()[0].GetCounter().GetValue() == now.Cluster.Counted.Metrics["pfs_operations"]
	})
	for name, metric := range map[string]string{"copper_cache_hits_total": "total_cache_hits", "copper_pfs_read_bytes_total": "pfs_read_bytes",
		"copper_metadata_enoent_ttl_clears_total": "metadata_enoent_ttl_clears", "copper_compression_encoded_bytes_total": "compression_encoded_bytes"} {
		if v := got[name].GetMetric()[0].GetCounter().GetValue(); v != now.Cluster.Counted.Metrics[metric] || v == 0 {
			t.Errorf("Prometheus: %s is %v, want %v", name, v, now.Cluster.Counted.Metrics[metric])
		}
	}
	if trees := len(got["copper_tree_bytes_out_total"].GetMetric()); trees != 2 {
		t.Errorf("Prometheus: %d trees", trees)
	}
	if n := got["copper_node_ranks"].GetMetric()[0].GetGauge().GetValue(); n != 1 {
		t.Errorf("Prometheus: %v ranks of a node", n)
	}
	for rank := range nodes {
		content, err := os.ReadFile(strings.ReplaceAll(textfile, "{rank}", fmt.Sprint(rank)))
		must(t, err)
		file := families(t, bytes.NewReader(content))
		if _, all := file["copper_ranks"]; all != (rank == 0) || file["copper_node_ranks"] == nil {
			t.Errorf("the file of rank %d has the sums of all nodes: %v", rank, all)
		}
	}

	// One node hangs: the others ask around it, and it is named.
	const hung = 1
	pid := status(t, job).Nodes[hung].PID
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	defer syscall.Kill(pid, syscall.SIGCONT)
	await(t, "a question to go on to another node", func() bool {
		for i := range 40 {
			stat(0, fmt.Sprintf("d/list/f%d", i), nil)
			stat(2, fmt.Sprintf("d/list/f%d", i), nil)
		}
		now = read()
		return grew("failovers")+now.Cluster.Counted.Metrics["direct_reads"] > 0 && now.Cluster.Counted.Metrics["suspects"] > 0
	})
	if len(now.Missing) != 1 || now.Missing[0].Rank != hung || now.Cluster.Counted.Metrics["ranks"] != nodes-1 {
		t.Errorf("missing: %+v, of %v", now.Missing, now.Cluster.Counted.Metrics["ranks"])
	}
	made := got["copper_pfs_operations_total"].GetMetric()[0].GetCounter().GetValue()
	got = scrape(t, address)
	if still := got["copper_pfs_operations_total"].GetMetric()[0].GetCounter().GetValue(); still < made || got["copper_missing_ranks"].GetMetric()[0].GetGauge().GetValue() != 1 {
		t.Errorf("Prometheus sees the sum fall from %v to %v, or nobody missing", made, still)
	}
	must(t, syscall.Kill(pid, syscall.SIGCONT))
	await(t, "the node to answer again", func() bool { return len(read().Missing) == 0 })
	if _, err := job.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(textfile), "*")); left != nil {
		t.Errorf("left: %q", left)
	}
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("the address is still answered")
	}
}
