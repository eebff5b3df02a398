package launch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestCompressionText(t *testing.T) {
	auto := func(decision string, share int64) NodeStatus {
		return NodeStatus{Compression: CompressionStatus{Mode: "auto", Decision: decision, LinkShare: share}}
	}
	for _, c := range []struct {
		nodes []NodeStatus
		want  string
	}{
		{nil, ""},
		{[]NodeStatus{{}}, ""}, // of a daemon that says nothing of it
		{[]NodeStatus{{Compression: CompressionStatus{Mode: "zstd", Decision: "zstd"}}}, "  compression  zstd\n"},
		{[]NodeStatus{auto("off", 0), auto("off", 0)}, "  compression  auto: off on 2 nodes\n"},
		{[]NodeStatus{auto("s2", 100<<20), auto("off", 2<<30), auto("s2", 0)},
			"  compression  auto: off on 1 node, s2 on 2 nodes; a child gets 100.0 MiB/s to 2.0 GiB/s of a link\n"},
		{[]NodeStatus{auto("s2", 100<<20)}, "  compression  auto: s2 on 1 node; a child gets 100.0 MiB/s of a link\n"},
	} {
		var all CompressionUse
		for _, n := range c.nodes {
			all.add(n.Compression.use())
		}
		if got := all.doing(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestCompressionInStatus: what nodes have compressed is summed up, and shown in all outputs.
func TestCompressionInStatus(t *testing.T) {
	job := &Job{Dir: "/logs/7", State: State{ID: "7", Phase: Ready, Ranks: []Rank{{Rank: 0}, {Rank: 1}}}}
	var nodes []NodeStatus
	for rank := range 2 {
		n := nodeStatus(rank)
		n.Compression = CompressionStatus{Mode: "s2", Decision: "s2", Compressed: Compressed{}.Plus(Compressed{
			Tried: 50, Skipped: int64(rank), RawBytes: 50 << 20, EncodedBytes: 20 << 20, Decoded: 3,
		})}
		nodes = append(nodes, n)
	}
	s := statusOf(t, job, nodes)
	want := Compressed{Tried: 100, Skipped: 1, RawBytes: 100 << 20, EncodedBytes: 40 << 20, Ratio: 2.5, Decoded: 6}
	if s.Totals.Compression != want {
		t.Errorf("%+v", s.Totals.Compression)
	}
	var table, summary strings.Builder
	if err := s.WriteText(&table, time.Unix(2000, 0)); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteSummary(&summary); err != nil {
		t.Fatal(err)
	}
	const line = "  compressed   100.0 MiB to 40.0 MiB (2.5x); 1 of 100 chunks would not shrink\n"
	if !strings.Contains(table.String(), "  compression  s2\n"+line) || !strings.Contains(summary.String(), line) {
		t.Errorf("%s\n%s", table.String(), summary.String())
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"compression":{"mode":"s2","decision":"s2","link_share":0,"tried":50,"skipped":0,"raw_bytes":52428800,"encoded_bytes":20971520,"ratio":2.5,"decoded":3}`,
		`"compression":{"tried":100,"skipped":1,"raw_bytes":104857600,"encoded_bytes":41943040,"ratio":2.5,"decoded":6}`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is missing in %s", want, b)
		}
	}
}
