package launch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func nodeStatus(rank int) NodeStatus {
	return NodeStatus{
		Rank: rank, Host: "n1", PID: 100 + rank, Mount: "/tmp/user/copper", Since: time.Unix(1000, 0),
		Requests:  map[string]int64{"LOOKUP": 40, "READ": 10, "IOCTL": 7},
		ReadBytes: 1000,
		Store:     map[string]Answers{"stat": {Hits: 30, Misses: 10}, "read": {Misses: 10}},
		Memory:    MemoryStatus{Limit: 1 << 30, Used: 1 << 20},
		PFS:       PFSStatus{Operations: map[string]int64{"lstat": 4, "read": 2}, Bytes: 300},
		Trees:     []TreeStatus{{BytesIn: 10, BytesOut: 20}, {Tree: 1, BytesIn: 1, BytesOut: 2}},
		Failovers: 1, DirectReads: 2, Hedges: 5, HedgesWon: 3, Slow: 1, Suspects: 2, Restarts: 1, PushedBytes: 2048,
		Warm: Warmth{Mapped: 1024},
	}
}

func answer(t *testing.T, rank int, v any) Answered {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return Answered{Rank: rank, Answer: b}
}

func TestCollect(t *testing.T) {
	job := &Job{Dir: "/logs/7", State: State{ID: "7", Phase: Ready, Ranks: []Rank{
		{Rank: 0, Host: "n1"}, {Rank: 1, Host: "n2"}, {Rank: 2, Host: "n3"}, {Rank: 3, Host: "n4"},
	}}}
	s := Collect(job, []Answered{
		answer(t, 3, nodeStatus(3)), answer(t, 0, nodeStatus(0)),
		{Rank: 1, Error: "does not answer"}, {Rank: 2, Answer: json.RawMessage(`"?"`)},
	})
	want := Totals{
		Nodes: 2, Missing: 2, Requests: 114, ReadBytes: 2000, HitRate: 0.6, MemoryUsed: 2 << 20,
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
	if s.Missing[0].Host != "n2" || s.Missing[0].Error != "does not answer" || s.Missing[1].Host != "n3" {
		t.Errorf("missing: %+v", s.Missing)
	}
	if s := Collect(job, nil); len(s.Missing) != 4 || s.Totals.HitRate != 0 {
		t.Errorf("without answers: %+v", s)
	}
}

func TestNothingSavedIsNotNegative(t *testing.T) {
	n := nodeStatus(0)
	n.PFS.Operations["lstat"], n.PFS.Bytes = 1000, 1<<20
	if got := total([]NodeStatus{n}); got.PFSOperationsSaved != 0 || got.PFSBytesSaved != 0 {
		t.Errorf("%+v", got)
	}
}

func TestStatusText(t *testing.T) {
	n, again := nodeStatus(0), nodeStatus(2)
	early, late := time.Date(2026, 11, 21, 13, 4, 5, 0, time.Local), time.Date(2026, 11, 21, 13, 4, 7, 0, time.Local)
	n.SuspectPeers = []SuspectPeer{{1, "n2", late}, {3, "n4", late}}
	again.SuspectPeers = []SuspectPeer{{1, "n2", early}}
	job := &Job{Dir: "/logs/7", State: State{ID: "7", Phase: Ready, Ranks: []Rank{{Rank: 0}, {Rank: 1, Host: "n2"}, {Rank: 2}}}}
	s := Collect(job, []Answered{answer(t, 0, n), {Rank: 1, Error: "it is silent"}, answer(t, 2, again)})
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
