package slowfs

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sync"
	"testing"
)

func fillLibrary(t *testing.T) func(string) {
	return func(backing string) {
		mkdir(t, backing+"/lib")
		write(t, backing+"/lib/a.py", "hello")
		if err := os.Symlink("a.py", backing+"/lib/link"); err != nil {
			t.Fatal(err)
		}
	}
}

func once(ops ...Op) map[Op]int64 {
	m := make(map[Op]int64)
	for _, op := range ops {
		m[op]++
	}
	return m
}

// TestCountsOfAKnownSequence: what a kernel has cached is not asked again, and each mount's
// kernel asks for itself.
func TestCountsOfAKnownSequence(t *testing.T) {
	s := start(t, 2, Options{}, fillLibrary(t))
	step := func(name string, want map[string]PathTally, do func()) {
		t.Helper()
		s.Reset()
		do()
		if got := s.CountsWithPaths().Paths; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, want)
		}
	}
	cold := map[string]PathTally{
		"/":         {Operations: once(OpGetAttr)},
		"/lib":      {Operations: once(OpLookup)},
		"/lib/a.py": {Operations: once(OpLookup, OpOpen, OpRead), Bytes: 5},
	}
	step("cold read", cold, func() { read(t, s.on(0, "lib/a.py")) })
	step("warm read", map[string]PathTally{"/lib/a.py": {Operations: once(OpOpen)}},
		func() { read(t, s.on(0, "lib/a.py")) })
	step("warm stat", map[string]PathTally{}, func() { stat(t, s.on(0, "lib/a.py")) })
	step("other mount is cold", cold, func() { read(t, s.on(1, "lib/a.py")) })
	step("link", map[string]PathTally{"/lib/link": {Operations: once(OpLookup, OpReadLink)}}, func() {
		for range 2 {
			if _, err := os.Readlink(s.on(0, "lib/link")); err != nil {
				t.Fatal(err)
			}
		}
	})
	step("listing", map[string]PathTally{"/lib": {Operations: once(OpOpenDir, OpReadDir, OpReadDir), Listings: 1}},
		func() { names(t, s.on(0, "lib")) })
	step("warm listing", map[string]PathTally{"/lib": {Operations: once(OpOpenDir)}},
		func() { names(t, s.on(0, "lib")) })
	step("misses are not cached", map[string]PathTally{"/lib/no": {Operations: once(OpLookup, OpLookup)}}, func() {
		for range 2 {
			if _, err := os.Lstat(s.on(0, "lib/no")); !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	})
}

func TestCountsByClassAndMount(t *testing.T) {
	s := start(t, 2, Options{}, fillLibrary(t))
	read(t, s.on(0, "lib/link"))
	_, _ = os.Lstat(s.on(0, "lib/no"))
	_, _ = os.Lstat(s.on(1, "no"))
	counts := s.Counts()
	if got, want := counts.Operations[OpLookup], (Classes{File: 1, Directory: 1, Symlink: 1, Missing: 2}); got != want {
		t.Errorf("lookups: got %+v, want %+v", got, want)
	}
	first, second := counts.Mounts[0], counts.Mounts[1]
	if first.Mount != s.options.Mounts[0] || second.Mount != s.options.Mounts[1] {
		t.Errorf("mounts are named %q and %q", first.Mount, second.Mount)
	}
	if first.Operations[OpLookup].Missing != 1 || second.Operations[OpLookup] != (Classes{Missing: 1}) {
		t.Errorf("lookups by mount: %+v and %+v", first.Operations[OpLookup], second.Operations[OpLookup])
	}
	if first.Bytes != 5 || second.Bytes != 0 || counts.Bytes != 5 {
		t.Errorf("bytes: %d and %d of %d, want 5 and 0 of 5", first.Bytes, second.Bytes, counts.Bytes)
	}
	for _, op := range Ops {
		if counts.Op(op) != first.Op(op)+second.Op(op) {
			t.Errorf("%s: the mounts do not add up to the total", op)
		}
	}
	if counts.Paths != nil {
		t.Error("Counts has Paths")
	}
	s.Reset()
	if counts := s.CountsWithPaths(); counts.Metadata() != 0 || counts.Bytes != 0 || len(counts.Paths) != 0 {
		t.Errorf("after Reset: %+v", counts)
	}
}

func TestNegativeLifetime(t *testing.T) {
	s := start(t, 1, Options{NegativeLifetime: DefaultCacheLifetime}, nil)
	for range 3 {
		if _, err := os.Lstat(s.on(0, "no")); !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if got := s.Counts().Operations[OpLookup]; got != (Classes{Missing: 1}) {
		t.Errorf("three misses: %+v, want one lookup", got)
	}
}

func TestConcurrentReadersOfEachMountReadOnce(t *testing.T) {
	const files, readers, size = 16, 4, 40_000
	s := start(t, 2, Options{}, func(backing string) {
		for i := range files {
			write(t, fmt.Sprintf("%s/%d", backing, i), string(make([]byte, size)))
		}
	})
	var wg sync.WaitGroup
	for mount := range s.options.Mounts {
		for range readers {
			wg.Go(func() {
				for i := range files {
					if content, err := os.ReadFile(s.on(mount, fmt.Sprint(i))); err != nil || len(content) != size {
						t.Errorf("file %d: %d bytes, %v", i, len(content), err)
					}
				}
			})
		}
	}
	wg.Wait()
	counts := s.CountsWithPaths()
	for i := range files {
		got := counts.Paths[fmt.Sprintf("/%d", i)]
		if got.Bytes != 2*size || got.Operations[OpLookup] != 2 || got.Operations[OpOpen] != 2*readers {
			t.Errorf("file %d: %+v; want its bytes and its lookup once a mount, %d opens", i, got, 2*readers)
		}
	}
}

// TestCountsJSON pins the field names that scripts rely on.
func TestCountsJSON(t *testing.T) {
	c := newCounter([]string{"/n1"})
	c.add(0, operation{op: OpLookup, path: "/a", mode: 0o100644}, 0)
	c.add(0, operation{op: OpRead, path: "/a", mode: 0o100644, bytes: 7}, 0)
	got, err := json.Marshal(c.counts(true))
	if err != nil {
		t.Fatal(err)
	}
	none := `{"file":0,"directory":0,"symlink":0,"other":0,"missing":0,"failed":0}`
	one := `{"file":1,"directory":0,"symlink":0,"other":0,"missing":0,"failed":0}`
	tally := `"operations":{"getattr":` + none + `,"lookup":` + one + `,"open":` + none + `,"opendir":` + none +
		`,"read":` + one + `,"readdir":` + none + `,"readlink":` + none + `,"statfs":` + none + `},"listings":0,"bytes":7`
	want := `{` + tally + `,"stalled":0,"mounts":[{"mount":"/n1",` + tally + `}],` +
		`"paths":{"/a":{"operations":{"lookup":1,"read":1},"listings":0,"bytes":7}}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
