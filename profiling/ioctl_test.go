package profiling

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
)

func TestIoctls(t *testing.T) {
	dir := Dir(t.TempDir())
	r := NewRecorder(RecorderOptions{})
	cleared := ""
	c := &Ioctls{Dir: dir,
		Snapshot: func(bool) *Snapshot {
			s := &Snapshot{Host: "n1", PID: 1}
			s.Store.Data = store.Use{Entries: 3, Bytes: 30}
			s.Store.Ops[store.OpRead].Hits = 12
			s.Add(r, false)
			return s
		},
		Contents: func() []store.Content {
			return []store.Content{{Table: "metadata", Kind: "absent", Path: "/none", Expires: time.Now().Add(time.Hour)},
				{Table: "data", Kind: "chunk", Path: "/file", Index: 2, Bytes: 99}}
		},
		Clear:         func() { cleared += "tables " },
		ClearAbsences: func() { cleared += "absences " },
	}
	run := func(numbers ...uint32) {
		t.Helper()
		for _, n := range numbers {
			if err := c.Run(n); err != nil {
				t.Errorf("ioctl %d: %v", n, err)
			}
		}
	}
	file := func(name string, row int) string {
		t.Helper()
		return strings.Join(rows(t, filepath.Join(string(dir), strings.Replace(name, "/", "/ioctl/n1-1-", 1)))[row], ",")
	}
	is := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	look := func() { r.Answered(Answer{Request: "LOOKUP", Took: time.Second, Waited: true}) }
	look()
	for i := range IoctlTable {
		if n := IoctlTable[i].Number; IoctlTable[i].File != "" {
			run(n)
		}
	}
	is(file("profiling/operation_counts.csv", 1), "lookup,1")
	is(file("profiling/operation_times.csv", 1), "lookup,1")
	is(file("profiling/cache_hits.csv", 1), "lookup,0")
	is(file("profiling/cache_misses.csv", 1), "lookup,1")
	is(file("profiling/data_cache_events.csv", 1), "hits,12")
	is(file("profiling/data_cache_size.csv", 2), "bytes,30")
	is(file("profiling/ioctl_events.csv", 1), "200,1")
	is(file("profiling/negatives.csv", 1)[:6], "/none,")
	is(file("profiling/profiling_aggregate.csv", 0), "metric,value")
	is(file("tables/data_cache_table.csv", 1), "/file,chunk,2,0,99,")
	is(file("tables/metadata_cache_table.csv", 1)[:13], "/none,absent,")
	run(700, 1400)
	look()
	run(300, 600, 1100)
	is(file("profiling/operation_counts.csv", 1), "lookup,1")
	is(file("profiling/cache_misses.csv", 1), "lookup,2")
	is(file("profiling/data_cache_events.csv", 1), "hits,0")
	run(1900, 600, 2200)
	is(file("profiling/cache_misses.csv", 1), "lookup,0")
	is(file("profiling/ioctl_events.csv", 1), "600,1")
	run(100, 1800)
	is(cleared, "tables absences ")
	for _, n := range []uint32{0, 99, 101, 2600} {
		if err := c.Run(n); !errors.Is(err, syscall.ENOTTY) {
			t.Errorf("ioctl %d: %v", n, err)
		}
	}
}

// The numbers are those that scripts know, each once.
func TestIoctlNumbers(t *testing.T) {
	for i := range 25 {
		if got := IoctlTable[i].Number; got != uint32(100*(i+1)) || IoctlTable[i].Does == "" {
			t.Errorf("ioctl %d: %+v", 100*(i+1), IoctlTable[i])
		}
	}
	if len(IoctlTable) != 25 {
		t.Errorf("%d ioctls", len(IoctlTable))
	}
}
