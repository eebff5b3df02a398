package simulate

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ordinary is what `copper simulate` takes if it is told nothing else.
func ordinary(nodes ...int) Plan {
	return Plan{
		Nodes: nodes, Processes: 8, InFlight: 1, Real: 1 << 20, Access: 20 * time.Microsecond,
		Wire: overlay.Wire{Latency: 20 * time.Microsecond, Bandwidth: 10e9, Handling: 3 * time.Microsecond},
		PFS:  PFS{Ops: 50_000, Bandwidth: 100e9, ClientBandwidth: 2e9, Latency: 500 * time.Microsecond},
	}
}

func load(t testing.TB, name string) *World {
	t.Helper()
	w, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func run(t *testing.T, p Plan, w *World) *Result {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	r, err := Run(InTest(t), p, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// once tells whether the PFS was asked for everything, and for nothing twice. Files are opened by
// each root that reads a stripe of them.
func once(t *testing.T, row Row, w *World) {
	t.Helper()
	objects := map[kind]int64{}
	for _, o := range newObjects(w).all {
		objects[o.kind]++
	}
	c := row.PFS
	if c.Repeated != 0 || c.ReadLink != objects[link] || c.List != objects[listing] && c.List > objects[listing] {
		t.Errorf("%d nodes (%s): the PFS was asked %+v, for %v", row.Nodes, row.Method, c, objects)
	}
	if c.Read != w.chunks && c.Read > objects[chunk] {
		t.Errorf("%d nodes (%s): %d chunks were read, want %d", row.Nodes, row.Method, c.Read, w.chunks)
	}
}

// TestDaemons runs the real code and holds the model against it.
func TestDaemons(t *testing.T) {
	for _, c := range []struct {
		manifest string
		nodes    []int
		inFlight int
		hottest  float64
	}{
		{"scipy.stats", []int{1, 8, 32, 256}, 1, 2},
		{"torch", []int{32}, 1, 2},
		{"bulk", []int{32}, 64, 2},
	} {
		t.Run(c.manifest, func(t *testing.T) {
			w := load(t, c.manifest)
			if raced { // which takes ten times as long
				c.nodes = c.nodes[:len(c.nodes)-1]
			}
			if len(c.nodes) == 0 {
				c.nodes = []int{8}
			}
			p := ordinary(c.nodes...)
			p.InFlight = c.inFlight
			daemons := run(t, p, w)
			p.Real = 0
			modelled := run(t, p, w)
			for i, row := range daemons.Rows {
				model := modelled.Rows[i]
				if row.Method != Daemons || model.Method != Model {
					t.Fatalf("found by %s and %s", row.Method, model.Method)
				}
				once(t, row, w)
				if row.PFS != model.PFS {
					t.Errorf("%d nodes: the PFS was asked %+v, in the model %+v", row.Nodes, row.PFS, model.PFS)
				}
				if row.PFS.Read != daemons.Rows[0].PFS.Read || row.PFS.Stat != daemons.Rows[0].PFS.Stat || row.PFS.List != daemons.Rows[0].PFS.List {
					t.Errorf("%d nodes: the PFS was asked %+v, with %d nodes %+v", row.Nodes, row.PFS, daemons.Rows[0].Nodes, daemons.Rows[0].PFS)
				}
				near(t, row.Nodes, "time", row.Seconds, model.Seconds)
				near(t, row.Nodes, "bytes per node", float64(row.MeanSent), float64(model.MeanSent))
				near(t, row.Nodes, "bytes of the busiest node", float64(row.MostSent), float64(model.MostSent))
				if row.Nodes >= 32 && row.Hottest() > c.hottest {
					t.Errorf("%d nodes: the busiest sends %.2f times the mean", row.Nodes, row.Hottest())
				}
				t.Logf("%d nodes: %.4f s, modelled %.4f s", row.Nodes, row.Seconds, model.Seconds)
			}
		})
	}
}

// near wants a model to be within five percent.
func near(t *testing.T, nodes int, what string, daemons, model float64) {
	t.Helper()
	if math.Abs(model-daemons) > 0.05*daemons {
		t.Errorf("%d nodes: %s is %g, in the model %g", nodes, what, daemons, model)
	}
}

// TestStartUpIsNearConstant is the promise, by the model up to a size that a test can wait for.
func TestStartUpIsNearConstant(t *testing.T) {
	for _, name := range []string{"scipy.stats", "torch"} {
		p := ordinary(32, 256, 2048)
		p.Real = 0
		w := load(t, name)
		rows := run(t, p, w).Rows
		for _, row := range rows {
			once(t, row, w)
			if row.Seconds > 1.5*rows[0].Seconds {
				t.Errorf("%s: %.3f s on %d nodes, %.3f s on %d", name, row.Seconds, row.Nodes, rows[0].Seconds, rows[0].Nodes)
			}
			if row.PFS.Metadata() > rows[0].PFS.Metadata()*102/100 || row.PFS.Bytes != rows[0].PFS.Bytes {
				t.Errorf("%s: on %d nodes the PFS is asked %+v, on %d %+v", name, row.Nodes, row.PFS, rows[0].Nodes, rows[0].PFS)
			}
			if row.Hottest() > 2 {
				t.Errorf("%s: of %d nodes one sends %.2f times the mean", name, row.Nodes, row.Hottest())
			}
		}
		if last := rows[len(rows)-1]; last.DirectSeconds < 10*last.Seconds {
			t.Errorf("%s: without Copper it takes %.1f s on %d nodes", name, last.DirectSeconds, last.Nodes)
		}
	}
}

// TestBulkIsNearTheBound: no node can have all before its link has carried it.
func TestBulkIsNearTheBound(t *testing.T) {
	p := ordinary(32, 256, 2048)
	p.Real, p.InFlight = 0, 64
	r := run(t, p, load(t, "bulk"))
	bound := float64(r.Bytes) / p.Wire.Bandwidth
	for _, row := range r.Rows {
		if row.Seconds < bound || row.Seconds > 2.5*bound {
			t.Errorf("%d nodes: %.3f s, where the links allow %.3f s", row.Nodes, row.Seconds, bound)
		}
	}
}

// TestDirect is worked out by hand.
func TestDirect(t *testing.T) {
	w, err := NewWorld("x", []manifest.Access{
		{Op: manifest.Stat, Path: "/f", Kind: manifest.File, Size: 3 << 20},
		{Op: manifest.ReadData, Path: "/f", Kind: manifest.File, Size: 3 << 20, From: 0, To: 2 << 20},
		{Op: manifest.Stat, Path: "/none", Kind: manifest.Absent},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{InFlight: 1, PFS: PFS{Ops: 1000, Bandwidth: 100 << 20, ClientBandwidth: 10 << 20, Latency: 5 * time.Millisecond}}
	for n, want := range map[int]time.Duration{
		1:    3*6*time.Millisecond + 2*100*time.Millisecond,
		1000: 3*time.Second + 2*10*time.Second,
	} {
		took, count := direct(p, w, n)
		if (took - want).Abs() > time.Microsecond {
			t.Errorf("%d nodes take %v, want %v", n, took, want)
		}
		if one := int64(n); count.Stat != 2*one || count.Open != one || count.Read != 2*one || count.Bytes != one<<21 || count.Repeated != 4*(one-1) {
			t.Errorf("%d nodes ask %+v", n, count)
		}
	}
}

// TestPFSRates is worked out by hand: what waits for what.
func TestPFSRates(t *testing.T) {
	w, err := NewWorld("x", []manifest.Access{{Op: manifest.ReadData, Path: "/f", Kind: manifest.File, Size: 1 << 20, From: 0, To: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	hollow, err := store.NewHollow()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPFS(PFS{Ops: 1000, Bandwidth: 100 << 20, ClientBandwidth: 50 << 20, Latency: 5 * time.Millisecond}, w)
		begin := time.Now()
		done := make(chan time.Duration, 3)
		for range 3 {
			m, err := hollow.Memory(store.MinMemory)
			if err != nil {
				t.Fatal(err)
			}
			c := p.client(m)
			go func() {
				if _, err := c.Stat(t.Context(), "/f", store.Version{}); err != nil {
					t.Error(err)
				}
				chunk, err := c.ReadChunk(t.Context(), store.File{Path: "/f", Version: w.attrs["/f"].Version()}, 0)
				if err != nil {
					t.Error(err)
					done <- 0
					return
				}
				chunk.Release()
				done <- time.Since(begin)
			}()
		}
		// Stats end at 6, 7, 8 ms and opens at 12, 13, 14 ms. The data has left the PFS at 22, 32 and 42 ms
		// and passed the clients' links, which take 20 ms, at 32, 33 and 42 ms.
		for _, want := range []time.Duration{37, 38, 47} {
			if got := <-done; got != want*time.Millisecond {
				t.Errorf("after %v, want %v ms", got, int(want))
			}
		}
		if want := (Count{Stat: 3, Open: 3, Read: 3, Bytes: 3 << 20, Repeated: 4}); p.side.count != want {
			t.Errorf("counted %+v, want %+v", p.side.count, want)
		}
	})
}

func TestWorldRefuses(t *testing.T) {
	f := manifest.Access{Op: manifest.Stat, Path: "/d/f", Kind: manifest.File, Size: 5}
	for want, accesses := range map[string][]manifest.Access{
		"there is no access in it":                        nil,
		"/d/f: two lines say that it is different things": {f, {Op: manifest.Stat, Path: "/d/f", Kind: manifest.File, Size: 6}},
		"/d: two lines say that it is different things":   {{Op: manifest.Stat, Path: "/d", Kind: manifest.File}, f},
		"/d/f is absent in one line and there in another": {f, {Op: manifest.Stat, Path: "/d/f", Kind: manifest.Absent}},
		"more than 10000000 MiB are read":                 {{Op: manifest.ReadData, Path: "/f", Kind: manifest.File, Size: 1 << 60, To: 1 << 60}},
		"more than 10000000 names":                        {{Op: manifest.List, Path: "/d", Kind: manifest.Dir, Names: 1 << 30}},
	} {
		if _, err := NewWorld("m", accesses); err == nil || !strings.HasPrefix(err.Error(), "manifest m: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := Load("no-such"); err == nil || !strings.Contains(err.Error(), "neither a file nor one of bulk, scipy.stats, torch") {
		t.Errorf("a manifest that doesn't exist: %v", err)
	}
	w := load(t, "torch")
	if err := w.Check(ordinary(maxNodes)); err != nil {
		t.Errorf("torch on %d nodes: %v", maxNodes, err)
	}
	big, err := NewWorld("big", read("/f", 100_000<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := big.Check(ordinary(maxNodes)); err == nil {
		t.Error("100,000 chunks on 100,000 nodes are accepted")
	}
}

func TestPlanCheck(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		"no number of nodes":     func(p *Plan) { p.Nodes = nil },
		"0 nodes":                func(p *Plan) { p.Nodes = []int{32, 0} },
		"-5 nodes":               func(p *Plan) { p.Nodes = []int{-5} },
		"100001 nodes":           func(p *Plan) { p.Nodes = []int{100_001} },
		"33 trees for 32 nodes":  func(p *Plan) { p.Trees = 33 },
		"-1 trees":               func(p *Plan) { p.Trees = -1 },
		"a fan-out of 1:":        func(p *Plan) { p.Fanout = 1 },
		"a fan-out of -2:":       func(p *Plan) { p.Fanout = -2 },
		"0 processes":            func(p *Plan) { p.Processes = 0 },
		"0 accesses":             func(p *Plan) { p.InFlight = 0 },
		"the latency is -1ns":    func(p *Plan) { p.Wire.Latency = -1 },
		"the bandwidth of a":     func(p *Plan) { p.Wire.Bandwidth = 0 },
		"operations per second":  func(p *Plan) { p.PFS.Ops = math.NaN() },
		"PFS's bandwidth is":     func(p *Plan) { p.PFS.Bandwidth = math.Inf(1) },
		"for one client is -1":   func(p *Plan) { p.PFS.ClientBandwidth = -1 },
		"the PFS's latency is 2": func(p *Plan) { p.PFS.Latency = 2 * time.Hour },
	} {
		p := ordinary(32)
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOutputs(t *testing.T) {
	p := ordinary(1, 4)
	p.Real = 1
	var told bytes.Buffer
	r, err := Run(InTest(t), p, load(t, "scipy.stats"), ShowProgress(&told, false))
	if err != nil {
		t.Fatal(err)
	}
	if text := told.String(); !strings.Contains(text, "1 nodes (daemons): 100%\n4 nodes (model): 0%\n") {
		t.Errorf("progress is\n%s", text)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Manifest scipy.stats: 1748 accesses", "daemons\n", "model\n", "daemons: found by", "model: found by", "10 GB/s each way"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
	}
	data, err := json.Marshal(r)
	var back Result
	if err != nil || json.Unmarshal(data, &back) != nil || back.Rows[1] != r.Rows[1] {
		t.Errorf("JSON %s, %v", data, err)
	}
	dir := t.TempDir()
	for name, magic := range map[string]string{"a.svg": "<?xml", "a.png": "\x89PNG"} {
		name = filepath.Join(dir, name)
		if err := r.WritePlot(name); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(name); err != nil || !bytes.HasPrefix(content, []byte(magic)) {
			t.Errorf("%s begins with %.10q, %v", name, content, err)
		}
	}
	r.Rows = r.Rows[:1]
	r.Rows[0].Seconds = 0
	if err := r.WritePlot(filepath.Join(dir, "one.svg")); err != nil {
		t.Errorf("one row that takes no time: %v", err)
	}
	if err := CheckPlot("a.pdf"); err == nil {
		t.Error("a plot in PDF is accepted")
	}
}
