package profiling

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parsed is what Prometheus makes of families.
func parsed(t *testing.T, families []Family) map[string]*dto.MetricFamily {
	t.Helper()
	var b bytes.Buffer
	if err := WriteFamilies(&b, families); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatalf("%v:\n%s", err, b.String())
	}
	if len(found) != len(families) {
		t.Errorf("%d families, Prometheus finds %d", len(families), len(found))
	}
	return found
}

// TestFamilies: every metric of the table is there once, of the right kind, in Prometheus' names, with its value.
func TestFamilies(t *testing.T) {
	sum := example(RecorderOptions{}).Sum()
	odd := "a \"job\" \\ of\nmany names"
	found := parsed(t, sum.Families(ClusterPrefix, Label{"copper_job", odd}))
	name := regexp.MustCompile(`^copper_[a-z0-9_]+$`)
	for family, f := range found {
		counts := strings.HasSuffix(family, "_total")
		if !name.MatchString(family) || strings.Contains(family, "total_") || strings.Contains(family, "__") || f.GetHelp() == "" ||
			counts != (f.GetType() == dto.MetricType_COUNTER) || f.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s: %v, %q", family, f.GetType(), f.GetHelp())
		}
		for _, m := range f.Metric {
			if l := m.Label[0]; l.GetName() != "copper_job" || l.GetValue() != odd {
				t.Errorf("%s: label %v", family, l)
			}
		}
	}
	for _, m := range Metrics {
		f := found[m.family(ClusterPrefix)]
		if f == nil || len(f.Metric) != 1 {
			t.Errorf("%s: %v", m.Name, f)
			continue
		}
		if got := f.Metric[0].GetCounter().GetValue() + f.Metric[0].GetGauge().GetValue(); got != sum.Value(m.Name) {
			t.Errorf("%s is %v, want %v", m.Name, got, sum.Value(m.Name))
		}
	}
	if f := found["copper_tree_bytes_in_total"]; len(f.GetMetric()) != 2 || f.Metric[1].Counter.GetValue() != 3 || f.Metric[1].Label[1].GetValue() != "1" {
		t.Errorf("of the trees: %v", f)
	}
	calls := map[string]float64{}
	for _, m := range found["copper_operation_calls_total"].GetMetric() {
		calls[m.Label[1].GetValue()] = m.Counter.GetValue()
	}
	if want := map[string]float64{"lookup": 4, "read": 1, "readdir": 1, "ioctl": 5, "getattr": 0, "readlink": 0, "statfs": 0}; !reflect.DeepEqual(calls, want) {
		t.Errorf("calls: %v, want %v", calls, want)
	}
}

// TestExposedHistogram: its buckets count what took less than their bounds, and the last all.
func TestExposedHistogram(t *testing.T) {
	r := NewRecorder(RecorderOptions{})
	for _, d := range []time.Duration{0, time.Microsecond, time.Millisecond, time.Millisecond, 3 * time.Second, time.Hour} {
		r.Answered(Answer{Request: "READ", Took: d})
	}
	s := &Snapshot{}
	s.Add(r, false)
	sum := s.Sum()
	found := parsed(t, sum.Families(NodePrefix))
	for _, m := range found["copper_node_operation_duration_seconds"].GetMetric() {
		if m.Label[0].GetValue() != "read" {
			continue
		}
		h := m.Histogram
		if h.GetSampleCount() != 6 || h.GetSampleSum() != 3603.002001 {
			t.Errorf("%d samples, sum %v", h.GetSampleCount(), h.GetSampleSum())
		}
		below := map[float64]uint64{}
		for i, b := range h.Bucket {
			below[b.GetUpperBound()] = b.GetCumulativeCount()
			if i > 0 && b.GetCumulativeCount() < h.Bucket[i-1].GetCumulativeCount() {
				t.Errorf("bucket %v falls", b)
			}
		}
		for bound, want := range map[float64]uint64{1.024e-06: 2, 0.000262144: 2, 0.001048576: 4, 1.073741824: 4, 4.294967296: 5, 1099.511627776: 5} {
			if below[bound] != want {
				t.Errorf("below %v s: %d, want %d", bound, below[bound], want)
			}
		}
		return
	}
	t.Error("there is none")
}

// TestNeverFall: a sum without a node doesn't fall, a gauge does, and what grows is told.
func TestNeverFall(t *testing.T) {
	families := func(v float64) []Family {
		return []Family{{Name: "a_total", Kind: "counter", Samples: []Sample{{Value: v}, {Labels: []Label{{"tree", "1"}}, Value: 10 - v}}},
			{Name: "b", Kind: "gauge", Samples: []Sample{{Value: v}}}}
	}
	var never Never
	for _, c := range []struct{ v, first, second, gauge float64 }{{5, 5, 5, 5}, {3, 5, 7, 3}, {6, 6, 7, 6}} {
		f := families(c.v)
		never.Fall(f)
		if got := []float64{f[0].Samples[0].Value, f[0].Samples[1].Value, f[1].Samples[0].Value}; !reflect.DeepEqual(got, []float64{c.first, c.second, c.gauge}) {
			t.Errorf("%v: %v", c, got)
		}
	}
}

// TestSumTravels: as JSON it is the same, and what is no sum is told.
func TestSumTravels(t *testing.T) {
	one := example(RecorderOptions{}).Sum()
	b, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	var same, both Sum
	if err := json.Unmarshal(b, &same); err != nil || !reflect.DeepEqual(same, one) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, same, one)
	}
	both.Add(&one)
	both.Add(&same)
	took := both.Latency()
	if both.Value("ranks") != 2 || both.Value("pfs_lstat") != 14 || took.Count() != 12 || both.Value("cache_hit_ratio") != 10.0/12 {
		t.Errorf("twice: %+v", both.values)
	}
	for _, bad := range []string{`{"operations":{"x":{"latency_buckets":"999:1"}}}`, `{"metrics":{"a":"b"}}`, `7`} {
		if err := json.Unmarshal([]byte(bad), &same); err == nil {
			t.Errorf("%s is a sum", bad)
		}
	}
}
