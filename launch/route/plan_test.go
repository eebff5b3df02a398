package route

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/launch"
)

// place is a directory with what users have, and a router for it.
type place struct {
	t   *testing.T
	dir string
	env map[string]string
	Router
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	places, err := launch.ReadPlacement()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: dir, env: map[string]string{}}
	p.Router = Router{View: View{Mount: "/mnt/copper", Target: "/"}, Places: places,
		Getenv: func(name string) string { return p.env[name] },
		Look: func(paths []string) map[string][]launch.Finding {
			found := map[string][]launch.Finding{}
			for _, path := range paths {
				if _, err := os.Stat(path); err != nil {
					found[path] = []launch.Finding{{Level: launch.Problem, Found: path + " does not exist", Advice: "name one that does"}}
				}
			}
			return found
		}}
	return p
}

// make makes files, and directories where the name ends in a slash.
func (p *place) make(names ...string) {
	p.t.Helper()
	for _, name := range names {
		path := filepath.Join(p.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			p.t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *place) write(name, content string) {
	p.t.Helper()
	p.make(name)
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) plan(wishes ...Wish) (Plan, error) {
	for i := range wishes {
		if !filepath.IsAbs(wishes[i].Path) {
			wishes[i].Path = filepath.Join(p.dir, wishes[i].Path)
		}
	}
	return p.Plan(wishes)
}

// must plans what is no mistake and returns NAME=value, $DIR in place of the place's directory.
func (p *place) must(wishes ...Wish) (assign []string, plan Plan) {
	p.t.Helper()
	plan, err := p.plan(wishes...)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, a := range plan.Assign {
		assign = append(assign, a.Name+"="+strings.ReplaceAll(a.Value, p.dir, "$DIR"))
	}
	// That the test's own directory is below one for temporary files is true, and not meant.
	plan.Remarks = slices.DeleteFunc(plan.Remarks, func(r Remark) bool {
		_, named, _ := strings.Cut(r.Text, "looks by its name (")
		name, _, _ := strings.Cut(named, ")")
		return slices.Contains(strings.Split(p.dir, "/")[1:], name)
	})
	return assign, plan
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("\n%q, want\n%q", got, want)
	}
}

func rules(plan Plan) (rules []int) {
	for _, r := range plan.Remarks {
		if r.Warning {
			rules = append(rules, r.Rule)
		}
	}
	return rules
}

func TestAssignments(t *testing.T) {
	p := newPlace(t)
	p.make("site/", "lib/libx.so.1", "bin/x", "packed.zip", "deck.in")
	for _, c := range []struct {
		name   string
		env    map[string]string
		wishes []Wish
		want   []string
	}{
		{"alone", nil, []Wish{{PythonPath, "site"}}, []string{"PYTHONPATH=/mnt/copper$DIR/site"}},
		{"before the rest", map[string]string{"PYTHONPATH": "/a::/b"}, []Wish{{PythonPath, "site"}}, []string{"PYTHONPATH=/mnt/copper$DIR/site:/a::/b"}},
		{"not twice", map[string]string{"PYTHONPATH": "/a:/mnt/copper$DIR/site"}, []Wish{{PythonPath, "site"}}, []string{"PYTHONPATH=/mnt/copper$DIR/site:/a"}},
		{"in place of the same without the mount", map[string]string{"PYTHONPATH": "$DIR/site/:/a"}, []Wish{{PythonPath, "site"}}, []string{"PYTHONPATH=/mnt/copper$DIR/site:/a"}},
		{"in order", nil, []Wish{{PythonPath, "packed.zip"}, {PythonPath, "site"}}, []string{"PYTHONPATH=/mnt/copper$DIR/packed.zip:/mnt/copper$DIR/site"}},
		{"said twice", nil, []Wish{{PythonPath, "site"}, {PythonPath, "site/"}}, []string{"PYTHONPATH=/mnt/copper$DIR/site"}},
		{"only what is asked", map[string]string{"PATH": "/bin", "LD_LIBRARY_PATH": "/l"}, []Wish{{Library, "lib"}}, []string{"LD_LIBRARY_PATH=/mnt/copper$DIR/lib:/l"}},
		{"a program", map[string]string{"PATH": "/bin"}, []Wish{{Program, "bin"}}, []string{"PATH=/mnt/copper$DIR/bin:/bin"}},
		{"inputs change nothing", nil, []Wish{{File, "deck.in"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			clear(p.env)
			for name, value := range c.env {
				p.env[name] = strings.ReplaceAll(value, "$DIR", p.dir)
			}
			got, _ := p.must(c.wishes...)
			expect(t, got, c.want...)
		})
	}
}

func TestVenv(t *testing.T) {
	p := newPlace(t)
	p.make("v/lib/python3.11/site-packages/", "v/bin/python", "w/lib/python3.9/site-packages/", "w/lib/python3.12/site-packages/", "w/lib64/python3.12/site-packages/")
	p.write("v/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.2\n")
	if err := os.Symlink("lib", filepath.Join(p.dir, "v/lib64")); err != nil {
		t.Fatal(err)
	}
	got, plan := p.must(Wish{Venv, "v"})
	expect(t, got, "PYTHONPATH=/mnt/copper$DIR/v/lib/python3.11/site-packages")
	if len(rules(plan)) > 0 {
		t.Errorf("warnings %+v", plan.Remarks)
	}
	p.write("w/pyvenv.cfg", "version_info = 3.12.1.final.0\n")
	got, _ = p.must(Wish{Venv, "w"})
	expect(t, got, "PYTHONPATH=/mnt/copper$DIR/w/lib/python3.12/site-packages:/mnt/copper$DIR/w/lib64/python3.12/site-packages")
}

func TestConda(t *testing.T) {
	p := newPlace(t)
	p.make("c/conda-meta/history", "c/lib/libx.so")
	got, plan := p.must(Wish{Conda, "c"})
	expect(t, got, "COPPER_CONDA_PREFIX=/mnt/copper$DIR/c")
	if len(plan.Remarks) != 1 || plan.Remarks[0].Warning || !strings.Contains(plan.Remarks[0].Text, `conda activate "$COPPER_CONDA_PREFIX"`) {
		t.Errorf("%+v", plan.Remarks)
	}
}

// TestTarget: a view that shows a directory.
func TestTarget(t *testing.T) {
	p := newPlace(t)
	p.make("pfs/site/", "other/")
	p.View = View{Mount: "/mnt/copper", Target: p.dir + "/pfs"}
	got, _ := p.must(Wish{PythonPath, "pfs/site"})
	expect(t, got, "PYTHONPATH=/mnt/copper/site")
	// Below the mount already: once is enough.
	got, plan := p.must(Wish{PythonPath, "/mnt/copper/site"})
	expect(t, got, "PYTHONPATH=/mnt/copper/site")
	if !slices.Equal(rules(plan), []int{1}) {
		t.Errorf("%+v", plan.Remarks)
	}
	if _, err := p.plan(Wish{PythonPath, "other"}); err == nil || !strings.Contains(err.Error(), "is not below "+p.dir+"/pfs") {
		t.Error(err)
	}
	if err := os.Symlink("../other", filepath.Join(p.dir, "pfs/out")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.plan(Wish{PythonPath, "pfs/out"}); err == nil {
		t.Error("a link that leads out of the view is routed")
	}
	for path, want := range map[string]string{"/mnt/copper/a/b": p.dir + "/pfs/a/b", "/mnt/copper": p.dir + "/pfs"} {
		if got, ok := p.View.Behind(path); !ok || got != want {
			t.Errorf("behind %s: %s, want %s", path, got, want)
		}
	}
	if behind, ok := p.View.Behind("/mnt/copper2/x"); ok {
		t.Errorf("%s", behind)
	}
}

func TestRefused(t *testing.T) {
	p := newPlace(t)
	p.make("file", "v/pyvenv.cfg", "c/conda-meta/", "dir/", "a:b/", "a;b/", "scratch/")
	p.env["SCRATCH"] = p.dir + "/scratch/"
	for _, c := range []struct {
		wishes []Wish
		want   []string
	}{
		{[]Wish{{PythonPath, "nope"}, {Library, "nor this"}, {PythonPath, "dir"}}, []string{"/nope does not exist", "/nor this does not exist"}},
		{[]Wish{{PythonPath, "v"}}, []string{"use --venv"}},
		{[]Wish{{PythonPath, "c"}}, []string{"use --conda"}},
		{[]Wish{{Venv, "dir"}}, []string{"not a virtual environment"}},
		{[]Wish{{Conda, "dir"}}, []string{"not a conda environment"}},
		{[]Wish{{Library, "file"}}, []string{"is a file"}},
		{[]Wish{{PythonPath, "a:b"}}, []string{"once for each"}},
		{[]Wish{{Library, "a;b"}}, []string{"semicolon"}},
		{[]Wish{{File, "x\ny"}}, []string{"control characters"}},
		{[]Wish{{File, "/tmp"}, {File, "/var/tmp/"}}, []string{"/tmp is for temporary files", "/var/tmp is for"}},
		{[]Wish{{File, "scratch"}}, []string{"is $SCRATCH"}},
		{[]Wish{{File, "/"}}, []string{"everything"}},
	} {
		plan, err := p.plan(c.wishes...)
		if launch.ExitCode(err) != launch.ExitBadInput || len(plan.Assign) > 0 {
			t.Errorf("%v: %v, %v", c.wishes, err, plan.Assign)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %s", c.wishes, err, want)
			}
		}
	}
}

// TestRules: each known mistake is warned of by its rule, and what is none is not.
func TestRules(t *testing.T) {
	p := newPlace(t)
	p.make("site/", "lib/libx.so", "empty/", "bin/x", "run/results/in", "c/conda-meta/", "c/bin/", "c/lib/python3.11/site-packages/",
		"v/lib/python3.11/site-packages/", "v/pyvenv.cfg", "v/bin/", "edit/", "open/")
	p.write("edit/__editable__.x.pth", "import something\n/elsewhere/src\n")
	p.write("scripts/tool", "#!"+p.dir+"/scripts/python\n")
	p.write("fine/tool", "#!/usr/bin/env python3\n")
	if err := os.Chmod(filepath.Join(p.dir, "open"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	hasCC := false
	if cc, err := exec.LookPath("gcc"); err == nil {
		hasCC = true
		p.make("rpath/")
		cmd := exec.Command(cc, "-xc", "-shared", "-fPIC", "-o", "rpath/liby.so", "-Wl,--disable-new-dtags,-rpath,/hard/coded:$ORIGIN/x", "-")
		cmd.Dir, cmd.Stdin = p.dir, strings.NewReader("int y(void) { return 1; }")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	m := "/mnt/copper"
	for _, c := range []struct {
		name   string
		env    map[string]string
		wishes []Wish
		want   []int
	}{
		{"packages", map[string]string{"PATH": "/bin"}, []Wish{{PythonPath, "site"}}, nil},
		{"packages and a library", nil, []Wish{{PythonPath, "site"}, {Library, "lib"}}, nil},
		{"everything", nil, []Wish{{PythonPath, "site"}, {Library, "lib"}, {Program, "bin"}}, []int{1}},
		{"everything, the rest before", map[string]string{"PATH": "/bin:" + m + "/x", "LD_LIBRARY_PATH": m + "/l"}, []Wish{{PythonPath, "site"}}, []int{1}},
		{"packages beside an active conda environment", map[string]string{"PATH": m + "/c/bin:/bin", "CONDA_PREFIX": m + "/c"}, []Wish{{PythonPath, "site"}}, nil},
		{"an environment that was activated through the mount", map[string]string{"VIRTUAL_ENV": m + "/v"}, []Wish{{PythonPath, "site"}}, []int{2}},
		{"a venv's programs", nil, []Wish{{Program, "v/bin"}}, []int{2}},
		{"conda and its parts", nil, []Wish{{Conda, "c"}, {PythonPath, "c/lib/python3.11/site-packages"}}, []int{3}},
		{"no library", nil, []Wish{{Library, "empty"}}, []int{5}},
		{"results", nil, []Wish{{File, "run/results/in"}}, []int{6}},
		{"a temporary directory", nil, []Wish{{File, "open"}}, []int{6}},
		{"below scratch", map[string]string{"SCRATCH": p.dir}, []Wish{{PythonPath, "site"}}, []int{6}},
		{"cores", map[string]string{"COPPER_CORES": "48,49", "GOMP_CPU_AFFINITY": "0-48"}, []Wish{{PythonPath, "site"}}, []int{7}},
		{"other cores", map[string]string{"COPPER_CORES": "48,49", "GOMP_CPU_AFFINITY": "0-47"}, []Wish{{PythonPath, "site"}}, nil},
		{"scripts", nil, []Wish{{Program, "scripts"}}, []int{8}},
		{"scripts by env", nil, []Wish{{Program, "fine"}}, nil},
		{"editable", nil, []Wish{{PythonPath, "edit"}}, []int{8}},
		{"rpath", nil, []Wish{{Library, "rpath"}}, []int{8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "rpath" && !hasCC {
				t.Skip("no gcc")
			}
			p.t = t
			clear(p.env)
			for name, value := range c.env {
				p.env[name] = value
			}
			if _, plan := p.must(c.wishes...); !slices.Equal(rules(plan), c.want) {
				t.Errorf("rules %v, want %v: %+v", rules(plan), c.want, plan.Remarks)
			}
		})
	}
}

// TestFileSystems: what the look at the file system says is passed on; what makes no sense there is refused.
func TestFileSystems(t *testing.T) {
	p := newPlace(t)
	p.make("site/")
	p.Look = func(paths []string) map[string][]launch.Finding {
		return map[string][]launch.Finding{paths[0]: {{Level: launch.Warning, Found: paths[0] + " is part of the image", Advice: "leave it"}}}
	}
	if _, plan := p.must(Wish{PythonPath, "site"}); !slices.Contains(rules(plan), 9) {
		t.Errorf("%+v", plan.Remarks)
	}
}

func TestUndo(t *testing.T) {
	p := newPlace(t)
	p.make("site/", "c/conda-meta/")
	p.env["PYTHONPATH"], p.env["PATH"] = "/kept:"+p.dir+"/site", "/usr/bin:/bin"
	_, plan := p.must(Wish{PythonPath, "site"}, Wish{Conda, "c"})
	for _, a := range plan.Assign {
		p.env[a.Name] = a.Value
	}
	var got []string
	for _, a := range p.Undo().Assign {
		if a.Unset {
			a.Value = "(unset)"
		}
		got = append(got, a.Name+"="+strings.ReplaceAll(a.Value, p.dir, "$DIR"))
	}
	expect(t, got, "PYTHONPATH=$DIR/site:/kept", "COPPER_CONDA_PREFIX=(unset)")
}
