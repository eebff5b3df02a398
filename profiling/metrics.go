package profiling

import (
	"fmt"
	"io"
	"strconv"

	"github.com/copper-hpc/copper/store"
)

// Metric is one line of profiling_aggregate.csv.
type Metric struct {
	Name    string
	Unit    string // count, bytes, seconds, ratio
	Meaning string
	Source  string // which part counts it
	// Gauge: it may fall while a daemon runs. Others only grow.
	Gauge bool

	value func(*Snapshot) float64
	// derived, if not nil, makes the value of the others': ratios can't be summed up over ranks.
	derived func(map[string]float64) float64
}

// KernelNote is what all outputs say of the numbers.
const KernelNote = "What the kernel's caches answered reaches no daemon and is not counted here."

// Metrics are all metrics, in the order of the outputs; those of each tree are added to them
// ([TreeMetrics]).
var Metrics = metrics()

func metrics() []Metric {
	ms := []Metric{
		{Name: "ranks", Unit: "count", Gauge: true, Source: "profiling", Meaning: "daemons whose counts these are",
			value: func(*Snapshot) float64 { return 1 }},
		{Name: "restarts", Unit: "count", Source: "launch", Meaning: "daemons that died and were started again; their counts are lost",
			value: func(s *Snapshot) float64 { return float64(s.Restarts) }},
		{Name: "kernel_cache_off", Unit: "count", Gauge: true, Source: "fuse", Meaning: "daemons whose kernel was told to keep nothing (--kernel-cache off)",
			value: func(s *Snapshot) float64 {
				if s.KernelCache {
					return 0
				}
				return 1
			}},
		total("total_counted_fuse_operations", "count", "requests of the kernel, of all kinds", func(t *OperationCounts) float64 { return float64(t.Calls) }),
		total("total_cache_hits", "count", "requests answered from the node's own memory", func(t *OperationCounts) float64 { return float64(t.Hits) }),
		total("total_cache_misses", "count", "requests that waited for another node or for the PFS", func(t *OperationCounts) float64 { return float64(t.Misses) }),
		{Name: "cache_hit_ratio", Unit: "ratio", Gauge: true, Source: "derived", Meaning: "hits among hits and misses",
			derived: func(v map[string]float64) float64 {
				return share(v["total_cache_hits"], v["total_cache_hits"]+v["total_cache_misses"])
			}},
		total("total_negative_results", "count", "requests answered \"not there\"", func(t *OperationCounts) float64 { return float64(t.Negatives) }),
		total("total_errors", "count", "requests answered with another error", func(t *OperationCounts) float64 { return float64(t.Errors) }),
		total("total_measured_latency_seconds", "seconds", "time from request to answer, summed over the measured requests", func(t *OperationCounts) float64 { return t.Latency.Sum.Seconds() }),
		total("total_read_bytes", "bytes", "file data given to the kernel for its READs", func(t *OperationCounts) float64 { return float64(t.Bytes) }),
		{Name: "total_pushed_bytes", Unit: "bytes", Source: "fuse", Meaning: "file data put into the page cache before the kernel asked",
			value: func(s *Snapshot) float64 { return float64(s.PushedBytes) }},
		{Name: "total_warmed_bytes", Unit: "bytes", Source: "store/manifest", Meaning: "of these, what copper warm put there",
			value: func(s *Snapshot) float64 { return float64(s.WarmedBytes) }},
		{Name: "estimated_bytes_saved_by_copper", Unit: "bytes", Gauge: true, Source: "derived",
			Meaning: "file data that the kernels asked for or that was warmed for them, less what was read from the PFS; a rank that reads for others may be below 0",
			derived: func(v map[string]float64) float64 {
				return v["total_read_bytes"] + v["total_warmed_bytes"] - v["pfs_read_bytes"]
			}},
		{Name: "estimated_cache_served_operations_saved_by_copper", Unit: "count", Gauge: true, Source: "derived",
			Meaning: "requests that a client of the PFS would have made, less the operations that were made there; a rank that reads for others may be below 0",
			derived: func(v map[string]float64) float64 {
				return v["kernel_questions"] - v["pfs_operations"]
			}},
		{Name: "kernel_questions", Unit: "count", Source: "fuse", Meaning: "requests that a client of the PFS would have had to answer: lookup, getattr, readlink, read, readdir",
			value: func(s *Snapshot) (n float64) {
				for i := range s.Operations {
					if op := &s.Operations[i]; op.Measured && op.Name != Statfs.String() {
						n += float64(op.Calls)
					}
				}
				return n
			}},
		absence("stores", "names kept as absent, one by one", func(a store.AbsenceCounts) int64 { return a.Stores }),
		absence("serves", "\"not there\" answered from memory, to the kernel or to children; also of names that a listing lacks, which are not stored", func(a store.AbsenceCounts) int64 { return a.Serves }),
		absence("expires", "absent names found after their lifetime, and asked again", func(a store.AbsenceCounts) int64 { return a.Expires }),
		absence("clears", "absent names dropped by a clear", func(a store.AbsenceCounts) int64 { return a.Clears }),
	}
	for op := range store.Ops {
		for _, c := range []struct {
			name, meaning string
			of            func(store.OpCounts) int64
		}{
			{"hits", "answered from the node's tables", func(c store.OpCounts) int64 { return c.Hits }},
			{"misses", "asked of another node or of the PFS", func(c store.OpCounts) int64 { return c.Misses }},
			{"negatives", "answered \"not there\"", func(c store.OpCounts) int64 { return c.Negatives }},
			{"errors", "answered with another error", func(c store.OpCounts) int64 { return c.Errors }},
		} {
			ms = append(ms, Metric{Name: "store_" + op.String() + "_" + c.name, Unit: "count", Source: "store",
				Meaning: "questions " + op.String() + " of the kernel, of readahead and of children " + c.meaning,
				value:   func(s *Snapshot) float64 { return float64(c.of(s.Store.Ops[op])) }})
		}
	}
	of := func(name, unit, source, meaning string, value func(*Snapshot) int64) {
		ms = append(ms, Metric{Name: name, Unit: unit, Source: source, Meaning: meaning,
			value: func(s *Snapshot) float64 { return float64(value(s)) }})
	}
	gauge := func(name, unit, source, meaning string, value func(*Snapshot) int64) {
		of(name, unit, source, meaning, value)
		ms[len(ms)-1].Gauge = true
	}
	of("evictions", "count", "store", "table entries given up for want of memory", func(s *Snapshot) int64 { return s.Store.Evictions })
	gauge("memory_used_bytes", "bytes", "store", "memory that tables and data take", func(s *Snapshot) int64 { return s.Store.Memory.Used })
	gauge("memory_limit_bytes", "bytes", "store", "memory that they may take", func(s *Snapshot) int64 { return s.Store.Memory.Limit })
	gauge("memory_peak_bytes", "bytes", "store", "most memory that tables and data took", func(s *Snapshot) int64 { return s.Store.Memory.Peak })
	for _, t := range tables {
		gauge(t.name+"_cache_entries", "count", "store", "entries of the "+t.name+" cache ("+t.holds+") when this was written",
			func(s *Snapshot) int64 { return t.of(&s.Store).Entries })
		gauge(t.name+"_cache_bytes", "bytes", "store", "their size", func(s *Snapshot) int64 { return t.of(&s.Store).Bytes })
	}
	of("warmed_accesses", "count", "store/manifest", "accesses that copper warm made; the requests with which it shows the kernel what is warm are counted like all others", func(s *Snapshot) int64 { return s.Warmed })
	of("pfs_lstat", "count", "store", "attributes asked of the PFS", func(s *Snapshot) int64 { return s.PFS.Lstat })
	of("pfs_readdir", "count", "store", "directories read from the PFS", func(s *Snapshot) int64 { return s.PFS.Readdir })
	of("pfs_readlink", "count", "store", "symbolic links read from the PFS", func(s *Snapshot) int64 { return s.PFS.Readlink })
	of("pfs_open", "count", "store", "files opened at the PFS", func(s *Snapshot) int64 { return s.PFS.Open })
	of("pfs_read", "count", "store", "chunks of up to 1 MiB read from the PFS", func(s *Snapshot) int64 { return s.PFS.Read })
	of("pfs_operations", "count", "store", "all of these", func(s *Snapshot) int64 {
		return s.PFS.Lstat + s.PFS.Readdir + s.PFS.Readlink + s.PFS.Open + s.PFS.Read
	})
	of("pfs_read_bytes", "bytes", "store", "file data read from the PFS", func(s *Snapshot) int64 { return s.PFS.Bytes })
	of("failovers", "count", "overlay", "questions that went on to another node since a peer gave no answer", func(s *Snapshot) int64 { return s.Network.Failovers })
	of("direct_reads", "count", "overlay", "questions put to the PFS by a node that another one reads for", func(s *Snapshot) int64 { return s.Network.DirectReads })
	of("hedges", "count", "overlay", "questions put to a second node because the first was slow", func(s *Snapshot) int64 { return s.Network.Hedges })
	of("hedges_won", "count", "overlay", "of these, those that the second answered first", func(s *Snapshot) int64 { return s.Network.HedgesWon })
	gauge("suspects", "count", "overlay", "peers that gave no answer and were not reached since", func(s *Snapshot) int64 { return s.Network.Suspects })
	gauge("slow_peers", "count", "overlay", "peers that others are preferred to because they were slow to answer", func(s *Snapshot) int64 { return s.Network.Slow })
	of("compression_tried", "count", "store", "chunks that were to be compressed", func(s *Snapshot) int64 { return s.Compression.Tried })
	of("compression_skipped", "count", "store", "of these, those that would not have shrunk", func(s *Snapshot) int64 { return s.Compression.Skipped })
	of("compression_raw_bytes", "bytes", "store", "data that was compressed, before", func(s *Snapshot) int64 { return s.Compression.RawBytes })
	of("compression_encoded_bytes", "bytes", "store", "data that was compressed, after", func(s *Snapshot) int64 { return s.Compression.EncodedBytes })
	of("compression_decoded", "count", "store", "chunks decoded for the node's own kernel", func(s *Snapshot) int64 { return s.Compression.Decoded })
	ms = append(ms, Metric{Name: "compression_ratio", Unit: "ratio", Gauge: true, Source: "derived", Meaning: "raw by encoded bytes, 0 where nothing was compressed",
		derived: func(v map[string]float64) float64 {
			return share(v["compression_raw_bytes"], v["compression_encoded_bytes"])
		}})
	return ms
}

func total(name, unit, meaning string, of func(*OperationCounts) float64) Metric {
	return Metric{Name: name, Unit: unit, Meaning: meaning, Source: "fuse", value: func(s *Snapshot) float64 {
		t := s.total()
		return of(&t)
	}}
}

func absence(what, meaning string, of func(store.AbsenceCounts) int64) Metric {
	return Metric{Name: "metadata_enoent_ttl_" + what, Unit: "count", Meaning: meaning, Source: "store",
		value: func(s *Snapshot) float64 { return float64(of(s.Store.Absences)) }}
}

// tables are the caches of a node.
var tables = []struct {
	name, holds string
	of          func(*store.Stats) store.Use
}{
	{"data", "file data", func(s *store.Stats) store.Use { return s.Data }},
	{"tree", "listings", func(s *store.Stats) store.Use { return s.Tree }},
	{"metadata", "attributes, absences, links", func(s *store.Stats) store.Use { return s.Meta }},
}

// operationMetric is a figure of each operation: a column of profiling_operations.csv.
type operationMetric struct {
	Metric
	of func(*OperationCounts) int64
}

// operationMetrics are those of each operation, but for its latencies.
var operationMetrics = []operationMetric{
	{Metric{Name: "calls", Unit: "count", Meaning: "requests of the kernel"}, func(o *OperationCounts) int64 { return o.Calls }},
	{Metric{Name: "hits", Unit: "count", Meaning: "of them, answered from the node's own memory"}, func(o *OperationCounts) int64 { return o.Hits }},
	{Metric{Name: "misses", Unit: "count", Meaning: "of them, waited for another node or for the PFS"}, func(o *OperationCounts) int64 { return o.Misses }},
	{Metric{Name: "negatives", Unit: "count", Meaning: "of them, answered \"not there\""}, func(o *OperationCounts) int64 { return o.Negatives }},
	{Metric{Name: "errors", Unit: "count", Meaning: "of them, answered with another error"}, func(o *OperationCounts) int64 { return o.Errors }},
	{Metric{Name: "bytes", Unit: "bytes", Meaning: "file data given to the kernel"}, func(o *OperationCounts) int64 { return o.Bytes }},
}

// latencyMetric is how long the requests of each operation took.
var latencyMetric = Metric{Name: "duration_seconds", Unit: "seconds", Meaning: "time from a request of the kernel to its answer"}

// TreeMetrics are the metrics of one overlay tree.
func TreeMetrics(tree int) []Metric {
	of := func(name, unit, meaning string, value func(Tree) int64) Metric {
		return Metric{Name: fmt.Sprintf("tree_%d_%s", tree, name), Unit: unit, Source: "overlay", Meaning: meaning,
			value: func(s *Snapshot) float64 { return float64(value(s.Network.Trees[tree])) }}
	}
	return []Metric{
		of("asked", "count", "questions put to other nodes", func(t Tree) int64 { return t.Asked }),
		of("answered", "count", "questions of other nodes answered", func(t Tree) int64 { return t.Answered }),
		of("bytes_in", "bytes", "received as answers", func(t Tree) int64 { return t.BytesIn }),
		of("bytes_out", "bytes", "sent as answers", func(t Tree) int64 { return t.BytesOut }),
	}
}

// value is one line of profiling_aggregate.csv.
type value struct {
	name  string
	value float64
}

// values are s's metrics, in the order of the table, then those of the trees.
func (s *Snapshot) values() []value {
	all := map[string]float64{}
	table := Metrics
	for tree := range s.Network.Trees {
		table = append(table[:len(table):len(table)], TreeMetrics(tree)...)
	}
	for _, m := range table {
		if m.value != nil {
			all[m.Name] = m.value(s)
		}
	}
	derive(all)
	values := make([]value, len(table))
	for i, m := range table {
		values[i] = value{m.Name, all[m.Name]}
	}
	return values
}

// derive makes the metrics that others determine.
func derive(all map[string]float64) {
	for _, m := range Metrics {
		if m.derived != nil {
			all[m.Name] = m.derived(all)
		}
	}
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// number is v as it is written to files.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// WriteMetrics prints the table of metrics as Markdown.
func WriteMetrics(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s\n\n| metric | unit | meaning | counted by | in Prometheus |\n| --- | --- | --- | --- | --- |\n", KernelNote); err != nil {
		return err
	}
	for _, m := range Metrics {
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s | `%s` |\n", m.Name, m.Unit, m.Meaning, m.Source, m.family(ClusterPrefix)); err != nil {
			return err
		}
	}
	for _, m := range TreeMetrics(0) {
		if _, err := fmt.Fprintf(w, "| `%s` (one for each tree) | %s | %s | %s | `%s` |\n", m.Name, m.Unit, m.Meaning, m.Source, m.family(ClusterPrefix)); err != nil {
			return err
		}
	}
	for _, o := range operationMetrics {
		if _, err := fmt.Fprintf(w, "| column `%s` of the operations | %s | %s | fuse | `%s` |\n", o.Name, o.Unit, o.Meaning, o.family(ClusterPrefix)); err != nil {
			return err
		}
	}
	for _, o := range operationMetrics {
		if _, err := fmt.Fprintf(w, "| column `%s` (one for each operation) | %s | %s | fuse | `%s` |\n", o.Name, o.Unit, o.Meaning, o.family(ClusterPrefix)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "| column `latency_buckets` (one for each operation) | %s | %s | fuse | `%soperation_%s` |\n",
		latencyMetric.Unit, latencyMetric.Meaning, ClusterPrefix, latencyMetric.Name)
	return err
}
