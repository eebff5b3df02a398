package launch

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

func nodeStatus(rank int) NodeStatus {
	return NodeStatus{
		Rank: rank, Host: "n1", PID: 100 + rank, Mount: "/tmp/user/copper", Since: time.Unix(1000, 0),
		Counters: Counters{
			Requests:  map[string]int64{"LOOKUP": 40, "READ": 10, "IOCTL": 7},
			ReadBytes: 1000,
			Store:     map[string]Answers{"stat": {Hits: 30, Misses: 10}, "read": {Misses: 10}},
			Memory:    MemoryStatus{Limit: 1 << 30, Used: 1 << 20},
			PFS:       PFSStatus{Operations: map[string]int64{"lstat": 4, "read": 2}, Bytes: 300},
			Trees:     []TreeStatus{{BytesIn: 10, BytesOut: 20}, {Tree: 1, BytesIn: 1, BytesOut: 2}},
			Failovers: 1, DirectReads: 2, Hedges: 5, HedgesWon: 3, Slow: 1, Suspects: 2, Restarts: 1, PushedBytes: 2048,
			Warm: Warmth{Mapped: 1024},
		},
	}
}

// counted is what profiling counted at a node whose kernel waited a while for each of some answers.
func counted(rank int, took ...time.Duration) profiling.Sum {
	r := profiling.NewRecorder(profiling.RecorderOptions{})
	for _, d := range took {
		r.Answered(profiling.Answer{Request: "LOOKUP", Took: d})
	}
	s := &profiling.Snapshot{Rank: rank, Host: "n1"}
	s.Add(r, false)
	return s.Sum()
}

// respond is what a client gets of nodes that answer, with what it asks for.
func respond(t *testing.T, r Request, nodes []NodeStatus, missing ...MissingRank) *Response {
	t.Helper()
	req, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	all := NewSum(req)
	for _, n := range nodes {
		d := &Daemon{Status: func() NodeStatus { return n }, Counted: func() profiling.Sum { return counted(n.Rank, time.Duration(n.Rank+1)*time.Millisecond) }}
		answer, err := d.Answer(t.Context(), req)
		if err == nil {
			err = all.Add(answer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	resp := &Response{Missing: missing}
	if len(nodes) > 0 {
		if resp.Sum, err = all.Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	return resp
}

// statusOf is the status of a job, with rows.
func statusOf(t *testing.T, job *Job, nodes []NodeStatus, missing ...MissingRank) Status {
	t.Helper()
	r := NewRequest(OpStatus)
	r.Rows = true
	s, err := Collect(job, respond(t, r, nodes, missing...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCollect(t *testing.T) {
	job := &Job{Dir: "/logs/7", State: State{ID: "7", Phase: Ready, Ranks: []Rank{
		{Rank: 0, Host: "n1"}, {Rank: 1, Host: "n2"}, {Rank: 2, Host: "n3"}, {Rank: 3, Host: "n4"},
	}}}
	s := statusOf(t, job, []NodeStatus{nodeStatus(3), nodeStatus(0)}, MissingRank{1, "does not answer"}, MissingRank{2, ""})
	want := Totals{
		Nodes: 2, Missing: 2, Requests: 114, ReadBytes: 2000, HitRate: 0.6, Questions: 100, Hits: 60, MemoryUsed: 2 << 20,
		PFSOperations: 12, PFSBytes: 600, PFSOperationsSaved: 100 - 12, PFSBytesSaved: 1400 + 2048,
		Failovers: 2, DirectReads: 4, OverlayBytes: 44,
		Hedges: 10, HedgesWon: 6, Slow: 2, Suspicions: 4, Restarts: 2, PushedBytes: 4096,
	}
	if s.Totals != want {
		t.Errorf("totals %+v\nwant   %+v", s.Totals, want)
	}
	if s.Nodes[0].Rank != 0 || s.Nodes[1].Rank != 3 {
		t.Errorf("nodes are not by rank: %+v", s.Nodes)
	}
	if s.Missing[0].Host != "n2" || s.Missing[0].Error != "does not answer" || s.Missing[1].Host != "n3" || s.Missing[1].Error != "no answer" {
		t.Errorf("missing: %+v", s.Missing)
	}
	if took := s.Cluster.Counted.Latency(); took.Count() != 2 || took.Sum != 5*time.Millisecond {
		t.Errorf("latencies of %d requests, %v", took.Count(), took.Sum)
	}
	if b, err := json.Marshal(statusOf(t, job, []NodeStatus{nodeStatus(0)}).Cluster); err != nil || !bytes.Contains(b, []byte(`"suspicions":[]`)) || bytes.Contains(b, []byte(`"nodes":null`)) {
		t.Errorf("lists that are none: %s, %v", b, err)
	}
	if s, err := Collect(job, &Response{}); err != nil || s.Totals.Nodes != 0 || s.Totals.HitRate != 0 || s.Nodes == nil {
		t.Errorf("without answers: %+v, %v", s, err)
	}
	if s, err := Collect(job, &Response{Sum: json.RawMessage(`"?"`)}); err == nil {
		t.Errorf("of an answer that is none: %+v", s)
	}
}

// TestSummaryIsBounded: what thousands of nodes say together is not longer than what some say, and is the same
// whatever the order in which it was joined.
func TestSummaryIsBounded(t *testing.T) {
	join := func(order []int) []byte {
		req, _ := json.Marshal(NewRequest(OpStatus))
		all, part := NewSum(req), NewSum(req)
		for i, rank := range order {
			n := nodeStatus(rank)
			n.Evictions, n.Memory.Used = 1, n.Memory.Limit
			n.Kernel.Features = []KernelFeature{{Name: "no-opendir"}}
			n.Trees = make([]TreeStatus, 64)
			for peer := range 200 {
				n.SuspectPeers = append(n.SuspectPeers, SuspectPeer{peer, "n2", time.Unix(int64(2000-rank), 0)})
			}
			answer, err := json.Marshal(summarise(n, counted(rank, time.Duration(rank+1)*time.Microsecond)))
			if err == nil {
				err = part.Add(answer)
			}
			if err != nil {
				t.Fatal(err)
			}
			if i%8 == 7 || i == len(order)-1 { // the sum of a subtree
				b, err := part.Bytes()
				if err == nil {
					err = all.Add(b)
				}
				if err != nil {
					t.Fatal(err)
				}
				part = NewSum(req)
			}
		}
		b, err := all.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const nodes = 300
	small, large := join(rand.Perm(70)), join(rand.Perm(nodes))
	t.Logf("the summary of 70 nodes has %d bytes, that of %d %d", len(small), nodes, len(large))
	if len(large) > len(small)*11/10 { // numbers have more digits
		t.Error("it grows with the nodes")
	}
	seconds := regexp.MustCompile(`"total_measured_latency_seconds":[0-9.]+`) // rounded
	if again := join(rand.Perm(nodes)); !bytes.Equal(seconds.ReplaceAll(again, nil), seconds.ReplaceAll(large, nil)) {
		t.Error("another order has another sum")
	}
	var s Summary
	if err := json.Unmarshal(large, &s); err != nil {
		t.Fatal(err)
	}
	if s.NodesCounted != nodes || s.Requests["READ"] != 10*nodes || s.Restarted.Count != nodes || len(s.Restarted.Nodes) != mostNoted ||
		s.Lacking["no-opendir"].On.Count != nodes || s.Full.Nodes[mostNoted-1].Rank != mostNoted-1 {
		t.Errorf("of %d nodes: %+v, %+v", s.NodesCounted, s.Requests, s.Restarted)
	}
	if s.Slowest[0].Rank != nodes-1 || s.Slowest[0].Mean != nodes*time.Microsecond || len(s.Slowest) != mostSlowest {
		t.Errorf("slowest: %+v", s.Slowest)
	}
	if m := s.Suspicions[3]; m.Rank != 3 || m.ByRank != nodes-1 || m.Others != nodes-1 || len(s.Suspicions) != mostNoted {
		t.Errorf("suspicion: %+v", m)
	}
	if lines := s.Restarted.lines(func(NotedNode) string { return "" }); len(lines) != mostNoted+1 || lines[mostNoted] != "236 other nodes" {
		t.Errorf("lines: %q", lines)
	}
}

func TestNothingSavedIsNotNegative(t *testing.T) {
	n := nodeStatus(0)
	n.PFS.Operations["lstat"], n.PFS.Bytes = 1000, 1<<20
	if got := n.totals(); got.PFSOperationsSaved != 0 || got.PFSBytesSaved != 0 {
		t.Errorf("%+v", got)
	}
}

func TestStatusText(t *testing.T) {
	n, again := nodeStatus(0), nodeStatus(2)
	early, late := time.Date(2026, 11, 21, 13, 4, 5, 0, time.Local), time.Date(2026, 11, 21, 13, 4, 7, 0, time.Local)
	n.SuspectPeers = []SuspectPeer{{1, "n2", late}, {3, "n4", late}}
	again.SuspectPeers = []SuspectPeer{{1, "n2", early}}
	job := &Job{Dir: "/logs/7", State: State{ID: "7", Phase: Ready, Ranks: []Rank{{Rank: 0}, {Rank: 1, Host: "n2"}, {Rank: 2}}}}
	s := statusOf(t, job, []NodeStatus{n, again}, MissingRank{1, "it is silent"})
	var table, summary strings.Builder
	if err := s.WriteText(&table, time.Unix(1000+3600, 0)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"job 7: ready", "2 of 3 nodes answer", "1h0m0s", "1.0 MiB  1.0 GiB", "/tmp/user/copper\n",
		"rank 1 on n2: it is silent", "60.0%", "12 operations and 600 B made; 88 operations and 3.4 KiB saved",
		"\nrank 1 on n2 has given no answer to rank 2 on n1 since 2026-11-21 13:04:05, nor to 1 other node\n",
		"\nrank 3 on n4 has given no answer to rank 0 on n1 since 2026-11-21 13:04:07\n",
		"rank 0 on n1 was started again 1 time;", "2 questions went on to another node, 4 to the PFS directly",
		"10 questions were put to a second node, which was faster for 6; 2 links slow now", "4.0 KiB given before they asked",
		"latency      2ms on the average, 99% within", "slowest: 3ms on the average for rank 2 on n1", profiling.KernelNote,
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	if err := s.WriteSummary(&summary); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"job 7 stopped", "114 answered", "88 operations and 3.4 KiB saved", "/logs/7"} {
		if !strings.Contains(summary.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, summary.String())
		}
	}
}
