package profiling

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func BenchmarkRecorder(b *testing.B) {
	a := Answer{Request: "READ", Path: "/some/where", Took: 12 * time.Microsecond, Bytes: 4096}
	for name, o := range map[string]RecorderOptions{"counters": {}, "top": {Top: 100}, "paths": {Paths: true}} {
		b.Run(name, func(b *testing.B) {
			r := NewRecorder(o)
			for b.Loop() {
				r.Answered(a)
			}
		})
	}
}

func TestBuckets(t *testing.T) {
	for i := range buckets {
		if got := bucketOf(bottomOf(i)); got != i {
			t.Fatalf("bucket %d begins at %v, which is in bucket %d", i, bottomOf(i), got)
		}
		if i > 0 && bucketOf(bottomOf(i)-1) != i-1 {
			t.Fatalf("%v is in bucket %d, want %d", bottomOf(i)-1, bucketOf(bottomOf(i)-1), i-1)
		}
	}
	if bucketOf(-1) != 0 || bucketOf(1<<62) != buckets-1 {
		t.Error("what is out of range is in no bucket")
	}
}

func TestQuantiles(t *testing.T) {
	var r recording
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rand.ExpFloat64() * 1e5)
		all = append(all, d)
		r.record(d)
	}
	slices.Sort(all)
	h := r.read()
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		got := h.Quantile(q)
		if off := float64(got-want) / float64(want+8); off < -0.3 || off > 0.3 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	again, err := parseHistogram(h.String())
	again.Sum = h.Sum
	if err != nil || again != h {
		t.Errorf("read back: %v", err)
	}
	for _, bad := range []string{"x", "1", "1:x", "-1:1", "9999:1", "1:-1"} {
		if _, err := parseHistogram(bad); err == nil {
			t.Errorf("%q is a histogram", bad)
		}
	}
	if (&Histogram{}).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
}

func TestRecorder(t *testing.T) {
	r := NewRecorder(RecorderOptions{Top: 1, Paths: true})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				r.Answered(Answer{Request: "LOOKUP", Path: fmt.Sprint("/", i%10), Waited: i%4 == 0, Absent: i%10 == 3, Took: time.Microsecond})
				r.Answered(Answer{Request: "READ", Path: "/hot", Bytes: 10})
				r.Answered(Answer{Request: "FORGET", Path: "/hot"})
			}
		})
	}
	wg.Wait()
	s := Snapshot{Requests: map[string]uint64{"LOOKUP": 400, "READ": 400, "IOCTL": 7}}
	s.Add(r, true)
	lookup, read := s.Operations[Lookup], s.Operations[Read]
	if lookup.Calls != 400 || lookup.Hits != 300 || lookup.Misses != 100 || lookup.Negatives != 40 || lookup.Latency.Sum != 400*time.Microsecond {
		t.Errorf("lookup: %+v", lookup)
	}
	if read.Calls != 400 || read.Misses != 0 || read.Bytes != 4000 {
		t.Errorf("read: %+v", read)
	}
	if total := s.total(); total.Calls != 807 {
		t.Errorf("%d calls, want 807", total.Calls)
	}
	if len(s.Top) != 1 || s.Top[0].Path != "/hot" || s.Top[0].Requests-s.Top[0].Error > 400 || s.Top[0].Requests < 400 {
		t.Errorf("top: %+v", s.Top)
	}
	if len(s.Paths) != 11 || s.LeftOut != 0 {
		t.Fatalf("%d paths", len(s.Paths))
	}
	for _, p := range s.Paths {
		if p.Missing() != (p.Path == "/3") || p.Exists() == (p.Path == "/3") {
			t.Errorf("%+v: exists %v, missing %v", p, p.Exists(), p.Missing())
		}
	}
}

// A hot path stands out of many others, whatever their order.
func TestTopPaths(t *testing.T) {
	top := newTopPaths(3)
	want := map[string]int64{"/hot1": 500, "/hot2": 400, "/hot3": 300}
	var all []string
	for p, n := range want {
		all = append(all, slices.Repeat([]string{p}, int(n))...)
	}
	for i := range 2000 {
		all = append(all, fmt.Sprint("/cold", i))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, p := range all {
		top.note(Answer{Path: p})
	}
	if len(top.watched) > 3*slack {
		t.Errorf("%d paths watched", len(top.watched))
	}
	for _, p := range top.read() {
		if n := want[p.Path]; p.Requests < n || p.Requests-p.Error > n {
			t.Errorf("%s: %d ± %d, want %d", p.Path, p.Requests, p.Error, n)
		}
	}
}

func TestMetricNames(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range append(Metrics, TreeMetrics(0)...) {
		if seen[m.Name] || m.Unit == "" || m.Meaning == "" || m.Source == "" || (m.value == nil) == (m.derived == nil) {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
	}
}
