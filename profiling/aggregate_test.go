package profiling

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// synthetic writes the final set of n daemons, each of which counted what example did and its rank's
// number of operations at the PFS.
func synthetic(t testing.TB, job Dir, n int, o RecorderOptions) {
	t.Helper()
	s := example(o)
	set := job.Set(Final)
	if err := os.MkdirAll(set, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		s.Network.Trees = append(s.Network.Trees, Tree{Asked: 1})
	}
	operations := operationsTable(s.Operations)
	for rank := range n {
		s.Host, s.PID, s.Rank = fmt.Sprintf("x%06d", rank), 1000+rank, rank
		s.PFS.Lstat = int64(rank)
		s.Spans = nil
		for i := range tick(40) { // later ranks begin later
			began := 17952048000 + tick(rank*100/n) + 2*i
			s.Spans = append(s.Spans, Span{Began: began, Ended: began + 1, Requests: int64(10 + (7*rank+13*int(i))%90), Misses: int64(i % 10), Took: time.Second})
		}
		files := map[string][]byte{operationsFile: operations, AggregateFile: aggregateTable(s.values()), timelineFile: timelineTable(s)}
		if s.Top != nil {
			files[topFile] = topTable(s.Top)
		}
		if s.Paths != nil {
			files[PathsFile] = pathTableOf(s.Paths)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(set, s.ownName(name)), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// aggregated sums a job of so many ranks up, writes what is made of it, and says what that took: memory
// in bytes, as the operating system gave it.
func aggregated(t testing.TB, dir Dir, ranks int) (c *Cluster, took time.Duration, memory uint64, page int64) {
	t.Helper()
	began := time.Now()
	c, err := Aggregate(dir.Set(Final))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(dir.Cluster(), "all", ranks); err != nil {
		t.Fatal(err)
	}
	report, err := c.WriteReport(dir.Cluster(), "all", About{Job: "7", Hosts: make([]string, ranks)})
	if err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	info, err := os.Stat(report)
	if err != nil {
		t.Fatal(err)
	}
	return c, took, mem.Sys, info.Size()
}

// BenchmarkAggregateAurora prints the seconds and the memory.
func BenchmarkAggregateAurora(b *testing.B) {
	dir := Dir(b.TempDir())
	synthetic(b, dir, aurora, RecorderOptions{Top: 50})
	for b.Loop() {
		_, took, memory, _ := aggregated(b, dir, aurora)
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(float64(memory)/(1<<20), "MiB")
	}
	b.ReportMetric(aurora, "ranks")
}

// TestAggregateAurora: as many ranks as the largest machine has nodes, in bounded time and memory.
func TestAggregateAurora(t *testing.T) {
	const ranks = aurora
	dir := Dir(t.TempDir())
	synthetic(t, dir, ranks, RecorderOptions{Top: 50})
	c, took, memory, page := aggregated(t, dir, ranks)
	t.Logf("%d ranks: %.2f s, %d MiB, a page of %d KiB", ranks, took.Seconds(), memory>>20, page>>10)
	if took > time.Minute || memory > 1<<30 || page > 1<<20 {
		t.Errorf("%v and %d bytes, a page of %d", took, memory, page)
	}
	for name, want := range map[string]float64{"ranks": ranks, "pfs_operations": ranks * (ranks - 1) / 2, "total_counted_fuse_operations": ranks * 11,
		"tree_9_asked": ranks, "cache_hit_ratio": 5.0 / 6, "suspects": 0} {
		if c.Value(name) != want {
			t.Errorf("%s: %v, want %v", name, c.Value(name), want)
		}
	}
	if s := c.spread["pfs_operations"]; s.least != 0 || s.most != ranks-1 || s.at != fmt.Sprintf("x%06d-%d", ranks-1, 1000+ranks-1) {
		t.Errorf("spread: %+v", s)
	}
}

func TestAggregate(t *testing.T) {
	const ranks = 5
	dir := Dir(t.TempDir())
	synthetic(t, dir, ranks, RecorderOptions{Top: 10, Paths: true})
	broken := filepath.Join(dir.Set(Final), "x999999-1-")
	for name, content := range map[string]string{AggregateFile: "metric,value\nranks,many\n", operationsFile: ""} {
		if err := os.WriteFile(broken+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Aggregate(dir.Set(Final))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Unreadable) != 1 || !strings.Contains(c.Unreadable[0], `x999999-1-profiling_aggregate.csv: row 2: "many"`) {
		t.Errorf("unreadable: %q", c.Unreadable)
	}
	files, err := c.Write(dir.Cluster(), "all", ranks+2)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"all-profiling_aggregate.csv", "all-profiling_operations.csv", "all-profiling_path_classes.csv",
		"all-profiling_summary.md", "all-profiling_top_paths.csv"}
	if got := names(t, dir.Cluster()); !slices.Equal(got, want) || len(files) != len(want) {
		t.Errorf("%v", got)
	}
	one := example(RecorderOptions{})
	lookup := c.Operations()[Lookup]
	if alone := one.Operations[Lookup]; lookup.Calls != ranks*alone.Calls || lookup.Latency.Sum != ranks*alone.Latency.Sum ||
		lookup.Latency.Quantile(0.99) != alone.Latency.Quantile(0.99) {
		t.Errorf("lookup: %+v", lookup)
	}
	if top := c.hottest(); top[0].Path != "/env/lib/python3.11/os.py" || top[0].Requests != 3*ranks {
		t.Errorf("top: %+v", top[0])
	}
	classes := map[string]class{}
	for _, k := range c.classes() {
		classes[k.name] = k
	}
	if k := classes[PythonStdlib]; k.paths != 1 || k.requests != 3*ranks || k.data != 100*ranks {
		t.Errorf("%+v", k)
	}
	if k := classes[HwcapsProbe]; k.paths != 1 || k.negatives != ranks || !k.missing {
		t.Errorf("%+v", k)
	}
	summary, err := os.ReadFile(filepath.Join(dir.Cluster(), "all-profiling_summary.md"))
	if err != nil || !strings.Contains(string(summary), "has 7 ranks: 2 are missing") || !strings.Contains(string(summary), KernelNote) {
		t.Errorf("summary: %v\n%s", err, summary)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	job := Dir(filepath.Join(dir, "job"))
	none := func(string) (bool, string) { return false, "" }
	running := func(string) (bool, string) { return true, "it runs" }
	early := func(where string, job func(string) (bool, string), want bool, says string) {
		t.Helper()
		_, err := Find(where, Final, AggregateFile, job)
		var no *NoProfileError
		if !errors.As(err, &no) || no.Early != want || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want early %v", where, err, want)
		}
	}
	early(dir+"/nowhere", none, false, "no such directory")
	early(dir, none, false, "no job's directory")
	if err := os.Mkdir(string(job), 0o700); err != nil {
		t.Fatal(err)
	}
	early(string(job), running, true, "it runs")
	if err := os.WriteFile(string(job)+"/job.json", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	early(dir, none, false, "holds 1 jobs")
	if err := example(RecorderOptions{}).write(job.Set(PreDestroy)); err != nil {
		t.Fatal(err)
	}
	early(string(job), running, true, "pre-destroy")
	if f, err := Find(string(job), PreDestroy, AggregateFile, running); err != nil || f.Job != job || f.Set != job.Set(PreDestroy) {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := Find(filepath.Join(string(job), "profiling"), PreDestroy, AggregateFile, running); err != nil || f.Job != job {
		t.Errorf("%+v, %v", f, err)
	}
	f, err := Find(job.Set(PreDestroy), Final, AggregateFile, none)
	if err != nil || f.Out() != job.Cluster() {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestLastSet(t *testing.T) {
	job := Dir(t.TempDir())
	last := func(want string) {
		t.Helper()
		if got := job.LastSet(AggregateFile); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	write := func(tag string, pids ...int) {
		t.Helper()
		for _, pid := range pids {
			s := example(RecorderOptions{})
			s.PID = pid
			if err := s.write(job.Set(tag)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last("")
	write(runtimeTag(1), 1, 2, 3)
	write(runtimeTag(2), 1, 2)
	last(runtimeTag(1))
	write(runtimeTag(3), 1, 2, 3)
	write(runtimeTag(4), 1)
	last(runtimeTag(3))
	write(IoctlTag, 1, 2, 3, 4)
	write(PreDestroy, 1)
	last(PreDestroy)
	write(Final, 1)
	last(Final)
}

func TestUsePaths(t *testing.T) {
	target := t.TempDir()
	for _, p := range []string{"/sw/envs/a/lib/used.py", "/sw/envs/a/lib/unused.py", "/sw/envs/b/unused.py"} {
		if err := os.MkdirAll(filepath.Dir(target+p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target+p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := NewRecorder(RecorderOptions{Paths: true})
	r.Answered(Answer{Request: "LOOKUP", Path: "/sw/envs/a/lib/used.py"})
	r.Answered(Answer{Request: "READDIR", Path: "/sw/envs/a/lib"})
	r.Answered(Answer{Request: "LOOKUP", Path: "/sw/envs/a/pyvenv.cfg", Absent: true})
	s := &Snapshot{Host: "n1", PID: 1}
	s.Add(r, true)
	dir := t.TempDir()
	if err := s.write(dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		roots    []string
		existing string
		unused   string
	}{
		{nil, "/sw/envs/a|/sw/envs/a/lib|/sw/envs/a/lib/unused.py|/sw/envs/a/lib/used.py|", "/sw/envs/a|/sw/envs/a/lib/unused.py|"},
		{[]string{"/sw/envs/b"}, "/sw/envs/b|/sw/envs/b/unused.py|", "/sw/envs/b|/sw/envs/b/unused.py|"},
	} {
		u, err := UsePaths(dir, target, c.roots)
		if err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		if _, err := u.Write(out); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{possibleFile: c.existing, notObservedFile: c.unused,
			usedFile: "/sw/envs/a/lib|/sw/envs/a/lib/used.py|", missingFile: "/sw/envs/a/pyvenv.cfg|"} {
			got, err := os.ReadFile(filepath.Join(out, name))
			if err != nil || strings.ReplaceAll(string(got), "\n", "|") != want {
				t.Errorf("%v: %s: %q, want %q (%v)", c.roots, name, got, want, err)
			}
		}
		if got := names(t, out); len(got) != 6 {
			t.Errorf("%v", got)
		}
	}
}
