package profiling

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What the names for Prometheus begin with: those of all nodes' sums, and those of one node, which are others so
// that nobody adds the two up.
const (
	ClusterPrefix = "copper_"
	NodePrefix    = "copper_node_"
)

// Family is a metric as Prometheus has it, with all of its samples.
type Family struct {
	Name, Help string
	Kind       string // counter, gauge or histogram
	Samples    []Sample
}

// Sample is one number of a family.
type Sample struct {
	Suffix string // of a histogram: _bucket, _sum or _count
	Labels []Label
	Value  float64
}

// Label is a label of a sample.
type Label struct{ Name, Value string }

// treeName is the name of a tree's metric.
var treeName = regexp.MustCompile(`^tree_([0-9]+)_(.*)$`)

// family is the metric's name in Prometheus' way; for one of a tree the tree is a label.
func (m Metric) family(prefix string) string {
	name := strings.TrimPrefix(m.Name, "total_")
	name = treeName.ReplaceAllString(name, "tree_$2")
	if !m.Gauge {
		name += "_total"
	}
	return prefix + name
}

func (m operationMetric) family(prefix string) string { return m.Metric.family(prefix + "operation_") }

// Families is the sum as Prometheus has it: the table of metrics, with each tree's and each operation's as one
// family.
func (s *Sum) Families(prefix string, labels ...Label) []Family {
	var families []Family
	add := func(m Metric, name, kind string, samples []Sample) {
		help := m.Meaning
		if m.Unit != "count" {
			help += " (" + m.Unit + ")"
		}
		if len(samples) > 0 {
			families = append(families, Family{name, help, kind, samples})
		}
	}
	with := func(more ...Label) []Label { return append(labels[:len(labels):len(labels)], more...) }
	for _, m := range Metrics {
		add(m, m.family(prefix), m.kind(), []Sample{{"", labels, s.values[m.Name]}})
	}
	for i, m := range TreeMetrics(0) {
		var samples []Sample
		for tree := 0; ; tree++ {
			v, there := s.values[TreeMetrics(tree)[i].Name]
			if !there {
				break
			}
			samples = append(samples, Sample{"", with(Label{"tree", strconv.Itoa(tree)}), v})
		}
		add(m, m.family(prefix), m.kind(), samples)
	}
	operations := s.Operations()
	for _, m := range operationMetrics {
		var samples []Sample
		for i := range operations {
			if o := &operations[i]; o.Measured || m.Name == "calls" {
				samples = append(samples, Sample{"", with(Label{"operation", o.Name}), float64(m.of(o))})
			}
		}
		add(m.Metric, m.family(prefix), m.kind(), samples)
	}
	var took []Sample
	for i := range operations {
		if o := &operations[i]; o.Measured {
			took = append(took, o.Latency.samples(with(Label{"operation", o.Name}))...)
		}
	}
	add(latencyMetric, prefix+"operation_"+latencyMetric.Name, "histogram", took)
	return families
}

func (m Metric) kind() string {
	if m.Gauge {
		return "gauge"
	}
	return "counter"
}

// The bounds of an exposed histogram: powers of four from 1 µs to 18 minutes, at which the recorded buckets end too.
const (
	leastExposed = 10 // 2^10 ns
	mostExposed  = 40
)

// samples are the histogram with fewer buckets, of which each counts all that took less than its bound.
func (h *Histogram) samples(labels []Label) (samples []Sample) {
	add := func(suffix string, v float64, more ...Label) {
		samples = append(samples, Sample{suffix, append(labels[:len(labels):len(labels)], more...), v})
	}
	var below uint64
	from := 0
	for exponent := leastExposed; exponent <= mostExposed; exponent += 2 {
		bound := time.Duration(1) << exponent
		for end := bucketOf(bound); from < end; from++ {
			below += h.counts[from]
		}
		add("_bucket", float64(below), Label{"le", sampled(bound.Seconds())})
	}
	add("_bucket", float64(h.Count()), Label{"le", "+Inf"})
	add("_sum", h.Sum.Seconds())
	add("_count", float64(h.Count()))
	return samples
}

// Never lets what only grows fall. The sum of all nodes falls when a node is missing or its daemon was started
// again; Prometheus would take that for counters which begin at 0, and what follows for a leap.
type Never struct{ highest map[string]float64 }

// Fall raises what would fall to what it was.
func (n *Never) Fall(families []Family) {
	if n.highest == nil {
		n.highest = map[string]float64{}
	}
	for _, f := range families {
		if f.Kind == "gauge" {
			continue
		}
		for i := range f.Samples {
			s := &f.Samples[i]
			key := fmt.Sprint(f.Name, s.Suffix, s.Labels)
			s.Value = max(s.Value, n.highest[key])
			n.highest[key] = s.Value
		}
	}
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// FamiliesType is the media type of what [WriteFamilies] writes.
const FamiliesType = "text/plain; version=0.0.4; charset=utf-8"

// WriteFamilies writes Prometheus' text format. These are a few lines; the library for them would make the binary a tenth
// larger.
func WriteFamilies(w io.Writer, families []Family) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# %s\n", KernelNote)
	for _, f := range families {
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", f.Name, escapeHelp.Replace(f.Help), f.Kind)
		for _, s := range f.Samples {
			sep := "{"
			fmt.Fprint(out, f.Name, s.Suffix)
			for _, l := range s.Labels {
				fmt.Fprintf(out, `%s%s="%s"`, sep, l.Name, escapeLabel.Replace(l.Value))
				sep = ","
			}
			if len(s.Labels) > 0 {
				fmt.Fprint(out, "}")
			}
			fmt.Fprintf(out, " %s\n", sampled(s.Value))
		}
	}
	return out.Flush()
}

// sampled is a number as Prometheus reads it.
func sampled(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
