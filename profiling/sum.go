package profiling

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sum is what some daemons counted, joined. Its size does not grow with their number.
type Sum struct {
	values     map[string]float64
	spread     map[string]*spread
	operations map[string]*OperationCounts
}

// spread is the least and the most of a metric over the daemons.
type spread struct {
	least, most float64
	leastAt, at string // who has them
}

// notSummed are metrics whose greatest value stands for all.
var notSummed = map[string]bool{"memory_peak_bytes": true}

func newSum() Sum {
	return Sum{values: map[string]float64{}, spread: map[string]*spread{}, operations: map[string]*OperationCounts{}}
}

// Sum is what one daemon counted.
func (s *Snapshot) Sum() Sum {
	sum := newSum()
	for _, v := range s.values() {
		sum.values[v.name] = v.value
	}
	for _, name := range balanced {
		v, who := sum.values[name], fmt.Sprintf("rank %d on %s", s.Rank, s.Host)
		sum.spread[name] = &spread{least: v, leastAt: who, most: v, at: who}
	}
	for i := range s.Operations {
		o := s.Operations[i]
		sum.operations[o.Name] = &o
	}
	return sum
}

// Add takes over what o has; o is not used any more.
func (s *Sum) Add(o *Sum) {
	if s.values == nil {
		*s = newSum()
	}
	for name, v := range o.values {
		if notSummed[name] {
			s.values[name] = max(s.values[name], v)
		} else {
			s.values[name] += v
		}
	}
	join(s.spread, o.spread, func(mine, other *spread) {
		// Of equals the first by name, whatever the order of joining.
		if other.least < mine.least || other.least == mine.least && other.leastAt < mine.leastAt {
			mine.least, mine.leastAt = other.least, other.leastAt
		}
		if other.most > mine.most || other.most == mine.most && other.at < mine.at {
			mine.most, mine.at = other.most, other.at
		}
	})
	join(s.operations, o.operations, func(mine, other *OperationCounts) { mine.add(other) })
	derive(s.values)
}

func join[T any](to, from map[string]*T, add func(mine, other *T)) {
	for key, other := range from {
		if mine := to[key]; mine != nil {
			add(mine, other)
		} else {
			to[key] = other
		}
	}
}

// Value is a metric's value for all daemons, 0 for a metric that none has.
func (s *Sum) Value(name string) float64 { return s.values[name] }

// Operations are sums over all daemons: the measured ones first.
func (s *Sum) Operations() []OperationCounts {
	var all []OperationCounts
	for op := range Operations {
		if o := s.operations[op.String()]; o != nil {
			all = append(all, *o)
		}
	}
	var others []OperationCounts
	for _, o := range s.operations {
		if !o.Measured {
			others = append(others, *o)
		}
	}
	slices.SortFunc(others, func(a, b OperationCounts) int { return strings.Compare(a.Name, b.Name) })
	return append(all, others...)
}

// Latency is how long the measured requests took, of all operations.
func (s *Sum) Latency() (all Histogram) {
	for _, o := range s.operations {
		all.add(&o.Latency)
	}
	return all
}

// ordered are the values in the order of the table of metrics, then the others by name.
func (s *Sum) ordered() []value {
	var values []value
	known := map[string]bool{}
	for _, m := range Metrics {
		if v, ok := s.values[m.Name]; ok {
			values = append(values, value{m.Name, v})
			known[m.Name] = true
		}
	}
	var others []value
	for name, v := range s.values {
		if !known[name] {
			others = append(others, value{name, v})
		}
	}
	slices.SortFunc(others, func(a, b value) int { return strings.Compare(a.name, b.name) })
	return append(values, others...)
}

// sumJSON is a Sum as it travels and as programs read it.
type sumJSON struct {
	Metrics map[string]float64    `json:"metrics"`
	Spread  map[string]spreadJSON `json:"spread"`
	// Operations are by name.
	Operations map[string]operationJSON `json:"operations"`
}

type spreadJSON struct {
	Least   float64 `json:"least"`
	LeastAt string  `json:"least_at"`
	Most    float64 `json:"most"`
	MostAt  string  `json:"most_at"`
}

type operationJSON struct {
	Measured  bool   `json:"measured"`
	Calls     int64  `json:"calls"`
	Hits      int64  `json:"hits"`
	Misses    int64  `json:"misses"`
	Negatives int64  `json:"negatives"`
	Errors    int64  `json:"errors"`
	Bytes     int64  `json:"bytes"`
	Latency   int64  `json:"total_latency_ns"`
	P50       int64  `json:"p50_ns"`
	P99       int64  `json:"p99_ns"`
	Buckets   string `json:"latency_buckets"` // as in profiling_operations.csv
}

// MarshalJSON implements [json.Marshaler].
func (s Sum) MarshalJSON() ([]byte, error) {
	out := sumJSON{Metrics: s.values, Spread: map[string]spreadJSON{}, Operations: map[string]operationJSON{}}
	for name, d := range s.spread {
		out.Spread[name] = spreadJSON{d.least, d.leastAt, d.most, d.at}
	}
	for name, o := range s.operations {
		out.Operations[name] = operationJSON{Measured: o.Measured, Calls: o.Calls, Hits: o.Hits, Misses: o.Misses, Negatives: o.Negatives,
			Errors: o.Errors, Bytes: o.Bytes, Latency: int64(o.Latency.Sum), Buckets: o.Latency.String(),
			P50: int64(o.Latency.Quantile(0.5)), P99: int64(o.Latency.Quantile(0.99))}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *Sum) UnmarshalJSON(b []byte) error {
	var in sumJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*s = newSum()
	for name, v := range in.Metrics {
		s.values[name] = v
	}
	for name, d := range in.Spread {
		s.spread[name] = &spread{least: d.Least, leastAt: d.LeastAt, most: d.Most, at: d.MostAt}
	}
	for name, o := range in.Operations {
		took, err := parseHistogram(o.Buckets)
		if err != nil {
			return err
		}
		took.Sum = time.Duration(o.Latency)
		s.operations[name] = &OperationCounts{Name: name, Measured: o.Measured, Calls: o.Calls, Hits: o.Hits, Misses: o.Misses,
			Negatives: o.Negatives, Errors: o.Errors, Bytes: o.Bytes, Latency: took}
	}
	return nil
}
