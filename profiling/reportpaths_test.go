package profiling

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pathsOf is a sum of which only the paths are known, each asked for so often; what ends with ! is missing.
func pathsOf(paths map[string]int) *Cluster {
	c := newCluster()
	for p, n := range paths {
		name, missing := strings.CutSuffix(p, "!")
		u := &PathUse{Path: name}
		u.Calls[Lookup] = int64(n)
		if missing {
			u.Negatives = int64(n)
		}
		c.paths[name] = u
	}
	return c
}

func TestRoutes(t *testing.T) {
	paths := map[string]int{"/": 3, "/lus": 3, "/lus/proj/me/in/mesh.bin": 40, "/lus/proj/me/in/deck.in": 40, "/lus/proj/me/job.sh": 1}
	for i := range 50 {
		paths[fmt.Sprintf("/sw/envs/ml/lib/python3.11/site-packages/torch/%d.py", i)] = 10
		paths[fmt.Sprintf("/sw/conda/envs/full/lib/python3.11/site-packages/x/%d.py", i)] = 3
		paths[fmt.Sprintf("/sw/conda/envs/full/lib/python3.11/%d.py", i)] = 3
		paths[fmt.Sprintf("/home/me/.venv/lib/python3.11/site-packages/y/%d.py", i)] = 3
		paths[fmt.Sprintf("/opt/solver/lib/lib%d.so", i)] = 3
	}
	var got []string
	for _, row := range pathsOf(paths).routes().Tables[0].Rows {
		got = append(got, row[3]+" "+row[4])
	}
	slices.Sort(got)
	want := []string{
		"/home/me/.venv/lib/python3.11/site-packages copper env --pythonpath",
		"/lus/proj/me/in the mount before the paths of these that are given",
		"/opt/solver/lib copper env --ld",
		"/sw/conda/envs/full copper env --conda",
		"/sw/envs/ml/lib/python3.11/site-packages copper env --pythonpath",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

func TestVain(t *testing.T) {
	c := pathsOf(map[string]int{"/used/a.py": 1, "/used/b.py!": 9, "/old/lib/libm.so.6!": 7, "/old/lib/libc.so.6!": 7, "/none/numpy!": 5,
		"/sw/bin/pyvenv.cfg!": 2})
	var got []string
	for _, row := range c.vain().Tables[0].Rows {
		got = append(got, strings.Join(row[:3], " ")+" "+row[3][:7]+row[3][len(row[3])-30:])
	}
	want := []string{"14 2 /old/lib nothinLIBRARY_PATH, or put it last"}
	if len(got) != 3 || !strings.Contains(got[0], "14 2 /old/lib") || !strings.Contains(got[0], "LIBRARY_PATH") ||
		!strings.Contains(got[1], "5 1 /none") || !strings.Contains(got[2], "harmless") {
		t.Errorf("%q, want such as %q", got, want)
	}
	if s := pathsOf(map[string]int{"/used/a.py": 1, "/used/b.py!": 9}).vain(); len(s.Tables) > 0 || !strings.HasPrefix(s.Text, "Nothing") {
		t.Errorf("%+v", s)
	}
}
