package profiling

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page writes a report and returns its text.
func page(t *testing.T, c *Cluster, about About) string {
	t.Helper()
	file, err := c.WriteReport(t.TempDir(), "all", about)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// selfContained fails for whatever the page would have to fetch, and for plots that are no XML.
func selfContained(t *testing.T, page string) {
	t.Helper()
	if found := regexp.MustCompile(`(?i)(src|href)=|url\(|@import|<script|https?://`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
		in := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := in.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v: %s", err, svg)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s", svg)
		}
	}
}

func TestReport(t *testing.T) {
	job := Dir(filepath.Join(t.TempDir(), "job"))
	synthetic(t, job, 130, RecorderOptions{Top: 10, Paths: true})
	c, err := Aggregate(job.Set(Final))
	if err != nil {
		t.Fatal(err)
	}
	hosts := make([]string, 131)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("x%06d", i)
	}
	got := page(t, c, About{Job: "7<8", Hosts: hosts, Origin: []Labelled{{"launched by", "mpiexec 'a' <b>"}}})
	selfContained(t, got)
	for _, want := range []string{"in job 7&lt;8", "1 of 131 ranks are missing", "(rank 130 on x000130)", "When the ranks asked", "up to 3 neighbouring ranks",
		"The trees", "Most missed names", "/env/lib/glibc-hwcaps", "Hottest paths", "/env/lib/python3.11/os.py", "mpiexec &#39;a&#39; &lt;b&gt;", "reaches no daemon and is not counted",
		"worth routing", "worth pruning"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// A run in which nothing happened gives a page that says so.
func TestReportOfNothing(t *testing.T) {
	dir := t.TempDir()
	s := &Snapshot{Host: "n1", PID: 1, KernelCache: true}
	s.Add(NewRecorder(RecorderOptions{}), false)
	if err := s.write(dir); err != nil {
		t.Fatal(err)
	}
	c, err := Aggregate(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := page(t, c, About{})
	selfContained(t, got)
	if !strings.Contains(got, "No kernel asked anything") || strings.Contains(got, "Hottest paths") || strings.Contains(got, "When the ranks") {
		t.Errorf("%s", got)
	}
}

// So does a job of which nothing was written.
func TestReportOfNobody(t *testing.T) {
	got := page(t, Nothing(), About{Job: "7", Missing: "too early: it runs"})
	selfContained(t, got)
	if !strings.Contains(got, "too early: it runs") || strings.Contains(got, "Operations at") || strings.Contains(got, "Nothing went wrong") {
		t.Errorf("%s", got)
	}
}

func TestGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 0.5: "0.50", 1234.5: "1,235"} {
		if got := grouped(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
