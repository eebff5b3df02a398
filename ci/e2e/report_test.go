package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/browser"
	"github.com/copper-hpc/copper/ci/cluster"
)

// shown is what a reader sees of a page.
type shown struct {
	Width    float64   `json:"width"`  // of all of it
	Window   float64   `json:"window"` // of the window
	Headings []string  `json:"headings"`
	Plots    []float64 `json:"plots"`  // the smaller side of each
	Shapes   int       `json:"shapes"` // in them
	Unnamed  int       `json:"unnamed"`
	Text     string    `json:"text"`
}

const showing = `(() => {
	const all = (what) => [...document.querySelectorAll(what)];
	return {
		width: document.scrollingElement.scrollWidth, window: innerWidth, text: document.body.innerText,
		headings: all("h1, h2").map(e => e.innerText),
		plots: all("svg").map(e => { const b = e.getBoundingClientRect(); return Math.min(b.width, b.height); }),
		shapes: all("svg path").filter(e => { const b = e.getBBox(); return b.width > 0 && b.height > 0; }).length,
		unnamed: all("svg, [role=region]").filter(e => !e.getAttribute("aria-label")).length,
	};
})()`

// inBrowser shows a page in Chromium on a desk and on a phone, checks what is so for every page, and
// returns what there is to see on the desk.
func inBrowser(t *testing.T, page string) (desk shown) {
	t.Helper()
	if _, err := browser.Find(); err != nil {
		if os.Getenv("COPPER_REQUIRE_CHROMIUM") != "" {
			t.Fatal(err)
		}
		t.Log("the page was not looked at: ", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	b, err := browser.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, l := range []browser.Look{{Size: browser.Phone}, {Size: browser.Desktop, Dark: true}, {Size: browser.Desktop}} {
		desk = shown{}
		if err := b.Open(ctx, page, l); err != nil {
			t.Fatal(err)
		}
		if err := b.Evaluate(ctx, showing, &desk); err != nil {
			t.Fatal(err)
		}
		if desk.Window != float64(l.Width) || desk.Width > desk.Window {
			t.Errorf("%+v: the page is %v wide in a window of %v", l, desk.Width, desk.Window)
		}
		for i, side := range desk.Plots {
			if side < 20 {
				t.Errorf("%+v: plot %d is %v pixels small", l, i, side)
			}
		}
		if desk.Unnamed > 0 {
			t.Errorf("%+v: %d plots or tables tell those nothing who can't see them", l, desk.Unnamed)
		}
		for _, c := range b.Complaints() {
			t.Errorf("%+v: %s", l, c)
		}
	}
	return desk
}

// sections fails for headings that are not there.
func (s shown) sections(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if s.Headings != nil && !slices.Contains(s.Headings, w) {
			t.Errorf("no heading %q among %q", w, s.Headings)
		}
	}
}

// TestBrowser: what inBrowser relies on to find faults.
func TestBrowser(t *testing.T) {
	if _, err := browser.Find(); err != nil && os.Getenv("COPPER_REQUIRE_CHROMIUM") == "" {
		t.Skip(err)
	}
	page := filepath.Join(t.TempDir(), "page.html")
	text := `<!doctype html><meta name="viewport" content="width=device-width, minimum-scale=1"><body style="margin:0"><div style="width:700px">wide</div><img src="http://127.0.0.1:9/x.png" alt=""><script>console.error("no")</script>`
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := browser.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Open(ctx, page, browser.Look{Size: browser.Phone}); err != nil {
		t.Fatal(err)
	}
	var s shown
	if err := b.Evaluate(ctx, showing, &s); err != nil || s.Width != 700 || s.Text != "wide" {
		t.Errorf("%+v, %v", s, err)
	}
	if said := strings.Join(b.Complaints(), "\n"); !strings.Contains(said, "consoleAPICalled") || !strings.Contains(said, "asked for http://127.0.0.1:9/x.png") {
		t.Errorf("complaints: %s", said)
	}
}

// TestReportPartial: a job that still runs, and one whose ranks were killed, have a page that says what is
// missing, with what there is.
func TestReportPartial(t *testing.T) {
	const nodes = 2
	target := t.TempDir()
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	job := start(t, cluster.Options{Nodes: nodes, Target: target, Args: []string{"--job", "part", "-I", "1"}})
	out := filepath.Join(job.Dir, "jobs", "part")
	report := func(says ...string) string {
		t.Helper()
		said, err := exec.Command(job.Copper, "profile", "report", out).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		page := filepath.Join(out, "profiling/cluster/cluster-profiling_report.html")
		content, err := os.ReadFile(page)
		for _, want := range says {
			if err != nil || !strings.Contains(string(content), want) || !strings.Contains(string(said), page) {
				t.Errorf("%q is not in the page: %v\n%s", want, err, said)
			}
		}
		return page
	}
	if _, err := os.ReadFile(filepath.Join(job.Mount(0), "file")); err != nil {
		t.Fatal(err)
	}
	asked := func() bool {
		for _, file := range endingWith(t, out+"/profiling/runtime-snapshot-*", "-profiling_aggregate.csv") {
			if table(t, file)["kernel_questions"]["value"] > 0 {
				return true
			}
		}
		return false
	}
	for began := time.Now(); !asked() && time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
	}
	report("the last set that was written", "the job is ready", "Operations at the parallel")
	if _, err := job.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	// As if the second rank had been killed.
	for _, name := range []string{"final", "pre-destroy"} {
		lost := endingWith(t, out+"/profiling/"+name, "-profiling_timeline.csv")
		for _, file := range lost {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if rank := strings.Split(string(content), "\n")[1]; strings.HasPrefix(rank, "1,") {
				for _, other := range endingWith(t, filepath.Dir(file), "") {
					if strings.HasPrefix(filepath.Base(other), strings.TrimSuffix(filepath.Base(file), "profiling_timeline.csv")) {
						if err := os.Remove(other); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	inBrowser(t, report("1 of 2 ranks are missing in these figures (rank 1 on ")).sections(t, "What Copper did in job part", "When the ranks asked")
	// As if nobody had written anything.
	if err := os.RemoveAll(filepath.Join(out, "profiling")); err != nil {
		t.Fatal(err)
	}
	inBrowser(t, report("too early", "the job is stopped", "copper serve")).sections(t, "What Copper did in job part", "Where this is from")
}
