package advise

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/route"
	"github.com/copper-hpc/copper/launch/route/trace"
)

// machine is one with a PFS at /lus, another at /proj, the rest on the node.
func machine(there []string, env ...string) System {
	return System{
		Dir: "/lus/run", Env: env,
		Has:  func(path string) bool { return slices.Contains(there, path) },
		Real: func(path string) string { return path },
		Place: func(real string) (launch.Place, string, string) {
			for _, point := range []string{"/lus", "/proj"} {
				if route.Below(real, point) {
					return launch.PlaceShared, "Lustre", point
				}
			}
			switch {
			case route.Below(real, "/proc"):
				return launch.PlaceState, "proc", "/proc"
			case route.Below(real, "/tmp"):
				return launch.PlaceMemory, "tmpfs", "/tmp"
			}
			return launch.PlaceImage, "overlay", "/"
		},
		Script: func(string) string { return "" },
		Search: func(string) route.Search { return route.Search{} },
	}
}

// reads are n files that are opened and read.
func reads(prefix string, n int, suffix string, size int64) (all []trace.Access) {
	for i := range n {
		all = append(all, read(fmt.Sprint(prefix, i, suffix), size)...)
	}
	return all
}

func read(path string, size int64) []trace.Access {
	return []trace.Access{{Op: trace.Stat, Path: path, Size: size}, {Op: trace.Open, Path: path, Real: path, Size: -1},
		{Op: trace.Size, Path: path, Size: size}, {Op: trace.Read, Path: path, Bytes: size, Size: -1}, {Op: trace.Read, Path: path, Bytes: size, Size: -1}}
}

func misses(prefix string, n int) (all []trace.Access) {
	for i := range n {
		all = append(all, trace.Access{Op: trace.Stat, Path: fmt.Sprint(prefix, i), Errno: "ENOENT", Size: -1})
	}
	return all
}

func write(path string) []trace.Access {
	return []trace.Access{{Op: trace.Change, Path: path, Size: -1}}
}

func run(path string) []trace.Access {
	return []trace.Access{{Op: trace.Exec, Path: path, Size: -1}, {Op: trace.Stat, Path: path, Size: 2 << 20}}
}

func TestReport(t *testing.T) {
	packages := slices.Concat(read("/lus/s/site-packages/numpy/__init__.py", 100), reads("/lus/s/site-packages/numpy/m", 20, ".py", 1000), misses("/lus/s/site-packages/json", 30))
	for _, c := range []struct {
		name     string
		command  string
		env      []string
		there    []string
		accesses []trace.Access
		// What is expected: groups as PREFIX KIND with a star if worth while.
		groups   []string
		lines    []string
		further  []string
		inputs   []string // NAMED PATH
		bypasses []string // WHY PATH
		outputs  []string
	}{
		{
			name: "site-packages", accesses: slices.Concat(packages, reads("/usr/lib/python3.11/x", 50, ".py", 10), misses("/proc/x", 50)),
			groups: []string{"/usr", "/lus/s/site-packages pythonpath *"},
			lines:  []string{`eval "$(copper env --pythonpath /lus/s/site-packages)"`},
		},
		{
			name: "virtual environment", there: []string{"/lus/my venv/pyvenv.cfg"},
			accesses: slices.Concat(reads("/lus/my venv/lib/python3.11/site-packages/p", 20, ".py", 10), read("/lus/my venv/pyvenv.cfg", 10)),
			groups:   []string{"/lus/my venv venv *"},
			lines:    []string{`eval "$(copper env --venv '/lus/my venv')"`},
		},
		{
			name: "conda: nothing below it by itself, the inner environment before the outer", there: []string{"/lus/c/conda-meta", "/lus/c/envs/e/conda-meta"},
			accesses: slices.Concat(reads("/lus/c/envs/e/lib/python3.11/site-packages/p", 20, ".py", 10), reads("/lus/c/envs/e/lib/lib", 5, ".so", 1<<20), run("/lus/c/envs/e/bin/python"), read("/lus/c/x", 10)),
			groups:   []string{"/lus/c/envs/e conda *", "/lus/c conda"},
			lines:    []string{`eval "$(copper env --conda /lus/c/envs/e)"`, `conda activate "$COPPER_CONDA_PREFIX"`},
		},
		{
			name: "entry of PYTHONPATH", env: []string{"PYTHONPATH=/lus/code:/x"}, accesses: reads("/lus/code/a/m", 20, ".py", 10),
			groups: []string{"/lus/code pythonpath *"}, lines: []string{`eval "$(copper env --pythonpath /lus/code)"`},
		},
		{
			name: "entry that is seen by its packages", accesses: slices.Concat(read("/lus/code/a/__init__.py", 1), read("/lus/code/a/b/__init__.py", 1), reads("/lus/code/a/b/m", 20, ".py", 10), misses("/lus/code/zlib.so", 9), read("/lus/code/data/d", 1)),
			groups: []string{"/lus/code pythonpath *", "/lus/code/data/d file"}, lines: []string{`eval "$(copper env --pythonpath /lus/code)"`},
		},
		{
			name: "script's own packages", command: "python3 main.py", there: []string{"/lus/run/main.py"},
			accesses: slices.Concat(read("/lus/run/main.py", 1), read("/lus/run/a/__init__.py", 1), reads("/lus/run/a/m", 20, ".py", 10)),
			groups:   []string{"/lus/run file *"}, inputs: []string{"main.py /lus/run/main.py"},
		},
		{
			name: "Python of a module, by PATH", env: []string{"PATH=/bin:/lus/py/bin"},
			accesses: slices.Concat(run("/lus/py/bin/python3"), read("/lus/py/lib/python3.12/encodings/__init__.py", 1), reads("/lus/py/lib/python3.12/m", 20, ".py", 10), reads("/lus/py/lib/python3.12/site-packages/m", 20, ".py", 10)),
			groups:   []string{"/lus/py path *"}, lines: []string{`eval "$(copper env --path /lus/py/bin)"`},
		},
		{
			name: "program by its name", command: "/lus/app/bin/app", there: []string{"/lus/app/bin/app"}, accesses: run("/lus/app/bin/app"),
			groups: []string{"/lus/app/bin path *"}, inputs: []string{"/lus/app/bin/app /lus/app/bin/app"},
		},
		{
			name: "libraries, with hardware's own directories, and misses in LD_LIBRARY_PATH", env: []string{"LD_LIBRARY_PATH=/lus/l"},
			accesses: slices.Concat(reads("/lus/l/lib", 3, ".so.1", 1<<20), misses("/lus/l/glibc-hwcaps/x86-64-v3/libx.so.", 9), misses("/lus/l/libz.so.", 9)),
			groups:   []string{"/lus/l ld *"}, lines: []string{`eval "$(copper env --ld /lus/l)"`},
		},
		{
			name: "too much at once", env: []string{"PATH=/lus/bin"}, accesses: slices.Concat(packages, reads("/lus/l/lib", 2, ".so", 2<<20), reads("/lus/m/lib", 2, ".so", 1<<20), run("/lus/bin/x")),
			groups: []string{"/lus/s/site-packages pythonpath *", "/lus/l ld *", "/lus/m ld *", "/lus/bin path *"},
			lines:  []string{`eval "$(copper env --pythonpath /lus/s/site-packages --ld /lus/l --ld /lus/m)"`}, further: []string{`eval "$(copper env --path /lus/bin)"`},
		},
		{
			name: "inputs by argument and by variable; a path that nobody named", command: "app --mesh=/proj/mesh.h5 deck.in", there: []string{"/proj/mesh.h5", "/lus/run/deck.in"}, env: []string{"TABLES=/lus/t/tables", "PWD=/lus/run", "HOME=/lus"},
			accesses: slices.Concat(read("/proj/mesh.h5", 9<<20), read("/lus/run/deck.in", 1<<20), read("/lus/t/tables/a", 2<<20), read("/lus/hard/coded", 3<<20)),
			groups:   []string{"/proj/mesh.h5 file *", "/lus/hard/coded file *", "/lus/t/tables/a file *", "/lus/run/deck.in file *"},
			inputs:   []string{"--mesh=/proj/mesh.h5 /proj/mesh.h5", "$TABLES /lus/t/tables", "deck.in /lus/run/deck.in"}, bypasses: []string{"hard-coded /lus/hard/coded"},
		},
		{
			name: "many inputs are one directory", command: "app /lus/in", there: []string{"/lus/in"}, accesses: slices.Concat(reads("/lus/in/f", 20, "", 10), []trace.Access{{Op: trace.Open, Path: "/lus/in", Real: "/lus/in", Size: -1}, {Op: trace.List, Path: "/lus/in", Size: -1}}),
			groups: []string{"/lus/in file *"}, inputs: []string{"/lus/in /lus/in"},
		},
		{
			name: "but not where it is written", accesses: slices.Concat(reads("/lus/in/f", 5, "", 10), write("/lus/in/log"), write("/lus/out/a"), write("/lus/out/b"), write("/tmp/x"), write("/proc/self/x"), write("/lus/s/__pycache__/m.pyc")),
			groups:  []string{"/lus/in/f0 file", "/lus/in/f1 file", "/lus/in/f2 file", "/lus/in/f3 file", "/lus/in/f4 file"},
			outputs: []string{"/lus/in 1", "/lus/out 2"},
		},
		{
			name: "too little", accesses: slices.Concat(read("/lus/a", 10), misses("/lus/b", 3)), groups: []string{"/lus", "/lus/a file"},
		},
		{name: "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := NewTally(nil)
			for _, a := range c.accesses {
				tally.Add(a)
			}
			command := strings.Fields(c.command)
			if len(command) == 0 {
				command = []string{"cmd"}
			}
			r := tally.Report(machine(c.there, c.env...), command, 0, nil)
			expectReport(t, r, c.groups, c.lines, c.further, c.inputs, c.bypasses, c.outputs)
			var text strings.Builder
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for _, line := range slices.Concat(r.Lines, r.Further) {
				if !strings.Contains(text.String(), "\n  "+line+"\n") {
					t.Errorf("%s is not on a line of its own:\n%s", line, text.String())
				}
			}
		})
	}
}

func expectReport(t *testing.T, r Report, groups, lines, further, inputs, bypasses, outputs []string) {
	t.Helper()
	var got [4][]string
	for _, g := range r.Groups {
		text := strings.TrimSpace(g.Prefix + " " + string(g.Kind))
		if g.Worth {
			text += " *"
		}
		got[0] = append(got[0], text)
	}
	for _, in := range r.Inputs {
		got[1] = append(got[1], in.Named+" "+in.Path)
	}
	for _, b := range r.Bypasses {
		got[2] = append(got[2], string(b.Why)+" "+b.Path)
	}
	for _, o := range r.Outputs {
		got[3] = append(got[3], fmt.Sprint(o.Dir, " ", o.Files))
	}
	for _, c := range []struct {
		what      string
		got, want []string
	}{{"groups", got[0], groups}, {"lines", r.Lines, lines}, {"further", r.Further, further}, {"inputs", got[1], inputs}, {"bypasses", got[2], bypasses}, {"outputs", got[3], outputs}} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s:\n%q, want\n%q", c.what, c.got, c.want)
		}
	}
}

// TestCounts: bytes count once, at most a file's size; misses are operations too.
func TestCounts(t *testing.T) {
	tally := NewTally(nil)
	for _, a := range slices.Concat(reads("/lus/s/site-packages/m", 3, ".py", 1000), misses("/lus/s/site-packages/x", 2)) {
		tally.Add(a)
	}
	r := tally.Report(machine(nil), []string{"cmd"}, 0, nil)
	if g := r.Groups[0]; g.Bytes != 3000 || g.Operations != 8 || g.Misses != 2 || g.Files != 3 || r.Bytes != 3000 || r.Operations != 8 {
		t.Errorf("%+v", *g)
	}
}

// TestInUse: what goes through a mount already needs no line, and what goes past it is told.
func TestInUse(t *testing.T) {
	view := &route.View{Mount: "/mnt/c", Target: "/"}
	through := slices.Concat(read("/mnt/c/lus/s/site-packages/numpy/__init__.py", 100), reads("/mnt/c/lus/s/site-packages/numpy/m", 20, ".py", 1000))
	away := []trace.Access{{Op: trace.Open, Path: "/mnt/c/lus/s/site-packages/link.py", Real: "/proj/elsewhere.py", Size: -1}}
	refused := []trace.Access{{Op: trace.Change, Path: "/mnt/c/lus/s/site-packages/x.pyc", Errno: "EROFS", Size: -1}}
	for _, c := range []struct {
		name     string
		accesses []trace.Access
		groups   []string
		bypasses []string
		lines    []string
		refused  int
	}{
		{"all of it", through, []string{"/lus/s/site-packages pythonpath"}, nil, nil, 0},
		{"some of it not", slices.Concat(through, reads("/lus/s/site-packages/d", 9, ".py", 10)), []string{"/lus/s/site-packages pythonpath *"},
			[]string{"direct /lus/s/site-packages"}, []string{`eval "$(copper env -v /mnt/c --pythonpath /lus/s/site-packages)"`}, 0},
		{"a link leads out", slices.Concat(through, away), []string{"/lus/s/site-packages pythonpath"}, []string{"link /proj"}, nil, 0},
		{"writes", slices.Concat(through, refused), []string{"/lus/s/site-packages pythonpath"}, nil, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := NewTally(view)
			for _, a := range c.accesses {
				tally.Add(a)
			}
			r := tally.Report(machine(nil, "PYTHONPATH=/mnt/c/lus/s/site-packages"), []string{"python3"}, 0, []string{"-v", "/mnt/c"})
			expectReport(t, r, c.groups, c.lines, nil, nil, c.bypasses, nil)
			if len(r.Refused) != c.refused {
				t.Errorf("refused: %q", r.Refused)
			}
		})
	}
}

// TestBypasses: what is hard-coded in scripts and binaries, where that is worth a word.
func TestBypasses(t *testing.T) {
	s := machine(nil)
	s.Script = func(path string) string {
		return map[string]string{"/lus/bin/tool": "/lus/venv/bin/python3", "/lus/bin/sh": "/bin/sh"}[path]
	}
	s.Search = func(path string) route.Search {
		return map[string]route.Search{
			"/lus/l/lib0.so": {RPath: []string{"/lus/r", "/usr/lib"}}, "/lus/l/lib1.so": {RunPath: []string{"/lus/r"}}, "/lus/l/lib2.so": {RPath: []string{"/lus/r"}},
		}[path]
	}
	tally := NewTally(nil)
	for _, a := range slices.Concat(run("/lus/bin/tool"), run("/lus/bin/sh"), reads("/lus/l/lib", 3, ".so", 10)) {
		tally.Add(a)
	}
	tally.Add(trace.Access{Op: trace.Open, Path: "/lus/l/lib9.so", Real: "/proj/lib9.so", Size: -1})
	found := map[string]int{}
	for _, b := range tally.Report(s, []string{"cmd"}, 0, nil).Bypasses {
		if b.Why != HardCoded {
			found[string(b.Why)+" "+b.Path] = b.Count
		}
	}
	want := map[string]int{"script /lus/venv/bin/python3": 1, "rpath /lus/r": 2, "runpath /lus/r": 1, "link /proj": 1}
	if !maps.Equal(found, want) {
		t.Errorf("%v, want %v", found, want)
	}
}

// TestLocal: the node's own file systems count on request, the system's own directories never.
func TestLocal(t *testing.T) {
	tally := NewTally(nil)
	for _, a := range slices.Concat(reads("/opt/site-packages/m", 20, ".py", 10), reads("/usr/lib/site-packages/m", 20, ".py", 10)) {
		tally.Add(a)
	}
	s := machine(nil)
	if r := tally.Report(s, []string{"cmd"}, 0, nil); len(r.Lines) > 0 {
		t.Errorf("%q", r.Lines)
	}
	s.Local = true
	expectReport(t, tally.Report(s, []string{"cmd"}, 0, nil), []string{"/opt/site-packages pythonpath *", "/usr"}, []string{`eval "$(copper env --pythonpath /opt/site-packages)"`}, nil, nil, nil, nil)
}
