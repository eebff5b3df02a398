package launch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

const (
	mostNoted   = 64 // nodes in a list of a Summary
	mostSlowest = 8
)

// Summary is what some nodes of a job have counted, joined. Its size does not grow with their number, but for
// Rows: lists name the first few, and count all.
type Summary struct {
	NodesCounted int `json:"nodes"`
	Counters
	Compression CompressionUse `json:"compression"`
	// Counted is what was counted of each operation, with its latencies, and all metrics by the names that
	// the outputs of profiling have.
	Counted profiling.Sum `json:"counted"`
	// Slowest are the nodes whose kernels waited longest for an answer on the average, the slowest first.
	Slowest []NodeLatency `json:"slowest"`
	// Suspicions are the nodes that give no answer, by rank.
	Suspicions []Suspicion `json:"suspicions"`
	Restarted  NodeList    `json:"restarted"` // Value: how often
	Full       NodeList    `json:"full"`      // evict, since their memory is full; Value: its limit
	Troubled   NodeList    `json:"troubled"`  // whose end was not orderly; Text: why
	// Lacking are the features that kernels lack, by name.
	Lacking map[string]*Lack `json:"lacking"`
	// Rows are the nodes themselves, if they were asked for.
	Rows []NodeStatus `json:"rows,omitempty"`
}

// NodeLatency is how long a node's kernel waited for answers.
type NodeLatency struct {
	Rank     int           `json:"rank"`
	Host     string        `json:"host"`
	Requests int64         `json:"requests"`
	Mean     time.Duration `json:"mean_ns"`
	P99      time.Duration `json:"p99_ns"`
}

// Suspicion is a node that gives no answer to others.
type Suspicion struct {
	SuspectPeer
	ByRank int    `json:"by_rank"` // the first to miss it
	ByHost string `json:"by_host"`
	Others int    `json:"others"` // who miss it too
}

// NodeList names some nodes, the first by rank, and counts all.
type NodeList struct {
	Count int         `json:"count"`
	Nodes []NotedNode `json:"nodes"`
}

// NotedNode is a node in a list.
type NotedNode struct {
	Rank  int    `json:"rank"`
	Host  string `json:"host"`
	Value int64  `json:"value,omitempty"`
	Text  string `json:"text,omitempty"`
}

// Lack is a feature that the kernels of some nodes lack.
type Lack struct {
	KernelFeature
	On NodeList `json:"on"`
}

// Summary asks all nodes, and tells which are missing in what they say.
func (g Gather) Summary(ctx context.Context) (s Summary, missing []MissingRank, err error) {
	req, err := json.Marshal(NewRequest(OpStatus))
	if err != nil {
		return s, nil, err
	}
	sum, missing, err := g(ctx, req)
	if err == nil && sum == nil {
		err = errors.New("no node answers")
	}
	if err == nil {
		err = json.Unmarshal(sum, &s)
	}
	return s, missing, err
}

// summarise begins a Summary with one node.
func summarise(n NodeStatus, counted profiling.Sum) Summary {
	s := Summary{NodesCounted: 1, Counters: n.Counters, Counted: counted, Compression: n.Compression.use(), Lacking: map[string]*Lack{}}
	noted := func(value int64, text string) NodeList {
		return NodeList{1, []NotedNode{{n.Rank, n.Host, value, text}}}
	}
	took := counted.Latency()
	if requests := int64(took.Count()); requests > 0 {
		s.Slowest = []NodeLatency{{n.Rank, n.Host, requests, took.Average(), took.Quantile(0.99)}}
	}
	for _, p := range n.SuspectPeers[:min(len(n.SuspectPeers), mostNoted)] {
		s.Suspicions = append(s.Suspicions, Suspicion{p, n.Rank, n.Host, 0})
	}
	if n.Restarts > 0 {
		s.Restarted = noted(int64(n.Restarts), "")
	}
	if n.Evictions > 0 && n.Memory.Used > n.Memory.Limit/10*9 {
		s.Full = noted(n.Memory.Limit, "")
	}
	if n.Error != "" {
		s.Troubled = noted(0, n.Error)
	}
	for _, f := range n.Kernel.missing() {
		s.Lacking[f.Name] = &Lack{f, noted(0, "")}
	}
	return s
}

// add joins what other nodes have counted; o is not used any more.
func (s *Summary) add(o *Summary) {
	s.NodesCounted += o.NodesCounted
	s.Counters.add(&o.Counters)
	s.Compression.add(o.Compression)
	s.Counted.Add(&o.Counted)
	s.Slowest = append(s.Slowest, o.Slowest...)
	slices.SortFunc(s.Slowest, func(a, b NodeLatency) int { return cmp.Or(cmp.Compare(b.Mean, a.Mean), cmp.Compare(a.Rank, b.Rank)) })
	s.Slowest = s.Slowest[:min(len(s.Slowest), mostSlowest)]
	s.suspect(o.Suspicions)
	s.Restarted.add(o.Restarted)
	s.Full.add(o.Full)
	s.Troubled.add(o.Troubled)
	if s.Lacking == nil {
		s.Lacking = map[string]*Lack{}
	}
	for name, lack := range o.Lacking {
		if mine := s.Lacking[name]; mine != nil {
			mine.On.add(lack.On)
		} else {
			s.Lacking[name] = lack
		}
	}
	s.Rows = append(s.Rows, o.Rows...)
}

// suspect joins others' suspicions: one for each node that is missed, since one may be missed by thousands.
func (s *Summary) suspect(others []Suspicion) {
	for _, o := range others {
		at := slices.IndexFunc(s.Suspicions, func(m Suspicion) bool { return m.Rank == o.Rank })
		if at < 0 {
			s.Suspicions = append(s.Suspicions, o)
			continue
		}
		m := &s.Suspicions[at]
		sum := m.Others + o.Others + 1
		if o.Since.Before(m.Since) {
			*m = o
		}
		m.Others = sum
	}
	slices.SortFunc(s.Suspicions, func(a, b Suspicion) int { return cmp.Compare(a.Rank, b.Rank) })
	s.Suspicions = s.Suspicions[:min(len(s.Suspicions), mostNoted)]
}

func (l *NodeList) add(o NodeList) {
	l.Count += o.Count
	l.Nodes = append(l.Nodes, o.Nodes...)
	slices.SortFunc(l.Nodes, func(a, b NotedNode) int { return cmp.Compare(a.Rank, b.Rank) })
	l.Nodes = l.Nodes[:min(len(l.Nodes), mostNoted)]
}

// lines has a text for each node of a list, of which it says that it is at the rank and host, and one for those
// that it only counts.
func (l NodeList) lines(text func(NotedNode) string) (lines []string) {
	for _, n := range l.Nodes {
		lines = append(lines, text(n))
	}
	if more := l.Count - len(l.Nodes); more > 0 {
		lines = append(lines, count(more, "other node"))
	}
	return lines
}

// fill makes empty lists of those that are not there, for programs that read them.
func (s *Summary) fill() {
	s.Slowest = append([]NodeLatency{}, s.Slowest...)
	s.Suspicions = append([]Suspicion{}, s.Suspicions...)
	for _, l := range []*NodeList{&s.Restarted, &s.Full, &s.Troubled} {
		l.Nodes = append([]NotedNode{}, l.Nodes...)
	}
}

// totals are those of all nodes.
func (s *Summary) totals() Totals {
	t := s.Counters.totals()
	t.Nodes, t.Compression = s.NodesCounted, s.Compression.Compressed
	return t
}
