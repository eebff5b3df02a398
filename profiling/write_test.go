package profiling

import (
	"encoding/csv"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// example is what a daemon may have counted.
func example(o RecorderOptions) *Snapshot {
	r := NewRecorder(o)
	for _, a := range []Answer{
		{Request: "LOOKUP", Path: "/env/lib/python3.11/os.py", Waited: true, Took: time.Millisecond},
		{Request: "LOOKUP", Path: "/env/lib/python3.11/os.py", Took: time.Microsecond},
		{Request: "READ", Path: "/env/lib/python3.11/os.py", Took: time.Microsecond, Bytes: 100},
		{Request: "LOOKUP", Path: "/env/lib/glibc-hwcaps", Absent: true},
		{Request: "LOOKUP", Path: "/odd, \"name\"\n\xff", Absent: true},
		{Request: "READDIR", Path: "/env", Failed: true},
	} {
		a.Began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		r.Answered(a)
	}
	s := &Snapshot{Host: "n1", PID: 42, Rank: 3, KernelCache: true, Requests: map[string]uint64{"IOCTL": 5, "READ": 1}}
	s.PFS.Lstat, s.PFS.Bytes = 7, 1000
	s.Network.Trees = []Tree{{Asked: 1}, {Asked: 2, BytesIn: 3}}
	s.Add(r, true)
	return s
}

func rows(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return rows
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWrite(t *testing.T) {
	dir := Dir(t.TempDir())
	all := RecorderOptions{Top: 10, Paths: true}
	for _, c := range []struct {
		options RecorderOptions
		want    []string
	}{
		{RecorderOptions{}, []string{"n1-42-profiling_aggregate.csv", "n1-42-profiling_operations.csv", "n1-42-profiling_summary.md",
			"n1-42-profiling_timeline.csv"}},
		{all, []string{"n1-42-profiling_aggregate.csv", "n1-42-profiling_operations.csv", "n1-42-profiling_path_table.csv",
			"n1-42-profiling_summary.md", "n1-42-profiling_timeline.csv", "n1-42-profiling_top_paths.csv"}},
	} {
		w := Writer{Dir: dir, Paths: c.options.Paths, Snapshot: func(bool) *Snapshot { return example(c.options) }}
		if err := w.Write(Final); err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir.Set(Final)); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c.options, got)
		}
	}
	values := map[string]string{}
	for _, r := range rows(t, filepath.Join(dir.Set(Final), "n1-42-profiling_aggregate.csv")) {
		values[r[0]] = r[1]
	}
	for name, want := range map[string]string{"metric": "value", "total_counted_fuse_operations": "11", "total_cache_hits": "5",
		"total_cache_misses": "1", "total_negative_results": "2", "total_errors": "1", "total_read_bytes": "100",
		"total_measured_latency_seconds": "0.001002", "kernel_questions": "6", "pfs_operations": "7",
		"estimated_cache_served_operations_saved_by_copper": "-1", "tree_1_bytes_in": "3"} {
		if values[name] != want {
			t.Errorf("%s: %q, want %q", name, values[name], want)
		}
	}
	operations := rows(t, filepath.Join(dir.Set(Final), "n1-42-profiling_operations.csv"))
	if got := strings.Join(operations[1][:7], ","); got != "lookup,4,3,1,2,0.000250250,0.001001000" {
		t.Errorf("lookup: %s", got)
	}
	paths := rows(t, filepath.Join(dir.Set(Final), "n1-42-profiling_path_table.csv"))
	last := paths[len(paths)-1]
	if readPath(last[0]) != "/odd, \"name\"\n\xff" || last[1] != OtherNegativeProbe || last[2] != "0" {
		t.Errorf("odd: %q", last)
	}
	summary, err := os.ReadFile(filepath.Join(dir.Set(Final), "n1-42-profiling_summary.md"))
	if err != nil || !strings.Contains(string(summary), KernelNote) {
		t.Errorf("summary: %v\n%s", err, summary)
	}
}

func TestEvery(t *testing.T) {
	dir := Dir(t.TempDir())
	taken := make(chan struct{}, 1<<16)
	w := Writer{Dir: dir, Log: slog.New(slog.DiscardHandler), Snapshot: func(bool) *Snapshot {
		taken <- struct{}{}
		return example(RecorderOptions{})
	}}
	w.Every(time.Millisecond, time.Now())
	<-taken
	<-taken // the first is written
	w.Close(time.Minute)
	found := names(t, filepath.Join(string(dir), "profiling"))
	if len(found) < 2 || !strings.HasPrefix(found[0], "runtime-snapshot-") {
		t.Fatalf("%v", found)
	}
	if got := names(t, filepath.Join(string(dir), "profiling", found[0])); len(got) != 4 {
		t.Errorf("%v", got)
	}
}

func TestClass(t *testing.T) {
	for path, want := range map[string]string{
		"/sw/envs/ml":                                              EnvironmentPrefix,
		"/sw/envs/ml/conda-meta/history":                           EnvironmentPrefix,
		"/home/me/.venv/pyvenv.cfg":                                EnvironmentPrefix,
		"/sw/envs/ml/bin/python3":                                  EnvironmentBin,
		"/sw/envs/ml/lib/python3.11/os.py":                         PythonStdlib,
		"/sw/envs/ml/lib/python3.11/lib-dynload/_x.cpython-311.so": PythonStdlib,
		"/sw/envs/ml/lib/python3.11/site-packages/numpy/x.so":      SitePackages,
		"/sw/lib/python3.11/site-packages/torch/nn/a.py":           TorchPython,
		"/sw/lib/python3.11/site-packages/torch/lib/libtorch.so":   TorchNative,
		"/sw/lib/libfoo.so.1.2":                                    SharedLibrary,
		"/lus/input.dat":                                           OtherPath,
	} {
		if got := Class(path, false); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"/sw/lib/python311.zip":                          PythonZipProbe,
		"/sw/bin/pyvenv.cfg":                             VirtualEnvProbe,
		"/sw/lib/glibc-hwcaps/x86-64-v3/libm.so.6":       HwcapsProbe,
		"/sw/lib/libm.so.6":                              MissingSharedLibrary,
		"/sw/lib/_x.cpython-311-x86_64-linux-gnu.so":     MissingSharedLibrary,
		"/sw/lib/python3.11/site-packages/sitecustom.py": OtherNegativeProbe,
	} {
		if got := Class(path, true); got != want {
			t.Errorf("missing %s: %s, want %s", path, got, want)
		}
	}
}
