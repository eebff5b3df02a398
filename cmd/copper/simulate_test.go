package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/overlay/simulate"
)

// TestSimulate runs both the daemons' code and the model, in a program that is no test.
func TestSimulate(t *testing.T) {
	p := newPlace(t)
	plot := filepath.Join(p.dir, "x.svg")
	manifest := filepath.Join(p.dir, "x.manifest")
	text := "copper-manifest 1\nlist /a names=3\nstat /a/f file size=2000000\nread /a/f size=2000000 from=0 to=2000000\nstat /a/g absent\n"
	if err := os.WriteFile(manifest, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := p.copper("simulate", "--nodes", "3,20", "--real", "3", "--manifest", manifest, "--json", "--plot", plot)
	var r simulate.Result
	if err := json.Unmarshal([]byte(stdout), &r); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if len(r.Rows) != 2 || r.Rows[0].Method != simulate.Daemons || r.Rows[1].Method != simulate.Model || r.Bytes != 2_000_000 {
		t.Fatalf("%+v", r)
	}
	for _, row := range r.Rows {
		if row.PFS.Bytes != r.Bytes || row.PFS.Metadata() != 3 || row.PFS.Repeated != 0 {
			t.Errorf("%d nodes ask the PFS %+v", row.Nodes, row.PFS)
		}
	}
	if !strings.Contains(stderr, "3 nodes (daemons): 100%") || strings.Contains(stderr+stdout, "PASS") {
		t.Errorf("progress is\n%s", stderr)
	}
	if svg, err := os.ReadFile(plot); err != nil || !strings.Contains(string(svg), "</svg>") {
		t.Errorf("the plot: %v\n%.100s", err, svg)
	}
	if code, stdout, stderr := p.copper("simulate", "-q", "--nodes=2"); code != 0 || stderr != "" || !strings.HasPrefix(stdout, "Manifest scipy.stats") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if help := p.must("simulate", "--help"); strings.Contains(help, "test.") {
		t.Errorf("help:\n%s", help)
	}
}

func TestSimulateRefuses(t *testing.T) {
	p := newPlace(t)
	broken := filepath.Join(p.dir, "broken")
	if err := os.WriteFile(broken, []byte("copper-manifest 1\nstat / dir\nopen /x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--nodes", "0"}, "0 nodes: want 1 to 100000"},
		{[]string{"--nodes=32,-5"}, "-5 nodes"},
		{[]string{"--nodes", "many"}, "many"},
		{[]string{"--nodes=32", "--fanout=1"}, "a fan-out of 1: want 2 to 1024"},
		{[]string{"--nodes=32", "--trees=33"}, "33 trees for 32 nodes"},
		{[]string{"--bandwidth=0"}, "the bandwidth of a node is 0"},
		{[]string{"--bandwidth=NaN"}, "the bandwidth of a node is NaN"},
		{[]string{"--latency=-1us"}, "the latency is -1µs"},
		{[]string{"--pfs-ops=-1"}, "operations per second is -1"},
		{[]string{"--ppn=0"}, "0 processes per node"},
		{[]string{"--in-flight=0"}, "0 accesses under way"},
		{[]string{"--plot", "x.pdf"}, `plot "x.pdf": want a name that ends in .svg or .png`},
		{[]string{"--manifest", "no-such"}, `manifest "no-such" is neither a file nor one of bulk, scipy.stats, torch`},
		{[]string{"--manifest", broken}, broken + `:3: "open": want stat, list, readlink or read`},
		{[]string{"--manifest", p.dir}, "is a directory"},
	} {
		code, stdout, stderr := p.copper(append([]string{"simulate"}, c.args...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("copper simulate %q: exit code %d, want 2 and %q\n%s%s", c.args, code, c.want, stdout, stderr)
		}
	}
}
