package advise

import (
	"cmp"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/route"
)

// Group is a prefix that belongs together, and what was asked below it.
type Group struct {
	Prefix     string       `json:"prefix"`
	Kind       route.Kind   `json:"kind,omitempty"`  // how it is routed; "" for what is not
	Route      string       `json:"route,omitempty"` // the path to route
	Place      launch.Place `json:"place"`
	FileSystem string       `json:"file_system"`
	Files      int          `json:"files"`      // that were there
	Operations int          `json:"operations"` // by name, and listings
	Misses     int          `json:"misses"`     // of operations, that found nothing
	Through    int          `json:"through"`    // of operations, made through the mount
	Bytes      int64        `json:"bytes"`      // of file data, each byte once
	Gains      bool         `json:"gains"`      // what is there can gain at all
	Worth      bool         `json:"worth"`      // routing it saves something worth while
	what       string       // in a word or two
	files      []*file
}

// From here on routing pays, where thousands of processes do the same.
const (
	worthOperations = 10
	worthBytes      = 1 << 20
)

// fewInputs is how many inputs of one directory are named one by one.
const fewInputs = 3

// grouper sorts files into groups.
type grouper struct {
	System
	changed   map[string]bool // directories that something was written to
	ran       map[string]bool // directories of which something was executed
	python    []string        // PYTHONPATH's entries, the longest first
	libraries []string        // LD_LIBRARY_PATH's
	entries   []string        // directories that packages were imported from, the longest first
	packages  map[string]bool // directories that are packages
	homes     []string        // prefixes of Python installations, the longest first
	markers   map[string]string
	args      []string // paths that the command line names
	groups    map[string]*Group
}

var (
	library  = regexp.MustCompile(`\.so(\.|$)`)
	stdlib   = regexp.MustCompile(`^(.*)/lib(?:64)?/python\d+\.\d+$`)
	hardware = regexp.MustCompile(`/(glibc-hwcaps/[^/]+|tls|haswell|x86_64|avx512_1)(/.*)?$`)
)

// groups sorts what was asked, the most asked first. args are the command.
func (t *Tally) groups(s System, args []string) []*Group {
	g := &grouper{System: s, packages: map[string]bool{}, markers: map[string]string{}, groups: map[string]*Group{}, changed: map[string]bool{}, ran: map[string]bool{}}
	for _, arg := range args {
		g.args = append(g.args, s.named(arg)...)
	}
	g.python, g.libraries = t.entries(s, "PYTHONPATH"), t.entries(s, "LD_LIBRARY_PATH")
	files := slices.SortedFunc(maps.Values(t.files), func(a, b *file) int { return cmp.Compare(a.path, b.path) })
	g.findPackages(files)
	longest(g.python)
	for _, f := range files {
		if f.changed || f.refused {
			g.changed[filepath.Dir(f.path)] = true
		}
		if f.executed {
			g.ran[filepath.Dir(f.path)] = true
		}
	}
	for _, f := range files {
		if !f.changed && !f.refused {
			g.add(f)
		}
	}
	g.foldInputs()
	var groups []*Group
	for _, group := range g.groups {
		group.Worth = group.Kind != "" && group.Gains && group.Through < group.Operations &&
			(group.Operations-group.Through >= worthOperations || group.Bytes >= worthBytes)
		groups = append(groups, group)
	}
	slices.SortFunc(groups, func(a, b *Group) int {
		return cmp.Or(b.weight()-a.weight(), cmp.Compare(a.Prefix, b.Prefix))
	})
	return groups
}

// entries are those of a list in the environment, without the mount.
func (t *Tally) entries(s System, name string) (entries []string) {
	for entry := range strings.SplitSeq(s.getenv(name), ":") {
		if entry != "" {
			path, _ := t.behind(s.abs(entry))
			entries = append(entries, path)
		}
	}
	return entries
}

// weight makes operations and bytes comparable: 64 KiB take about as long as one operation.
func (g *Group) weight() int { return g.Operations + int(g.Bytes>>16) }

func longest(paths []string) {
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
}

// abs is the path that a word means.
func (s System) abs(word string) string {
	if filepath.IsAbs(word) {
		return filepath.Clean(word)
	}
	return filepath.Join(s.Dir, word)
}

// named are the paths that a word of the command line may name: all of it, or what is after an equals sign.
func (s System) named(word string) (paths []string) {
	_, value, ok := strings.Cut(word, "=")
	for _, w := range []string{word, value} {
		if w == "" || w == value && !ok {
			continue
		}
		if path := s.abs(w); path != "/" && path != s.Dir && s.Has(path) && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// findPackages learns from what was imported where packages and Python installations are.
func (g *grouper) findPackages(files []*file) {
	for _, f := range files {
		if dir, name := filepath.Split(f.path); f.operations > f.misses && strings.HasPrefix(name, "__init__.") {
			dir = filepath.Clean(dir)
			if filepath.Base(dir) == "__pycache__" {
				dir = filepath.Dir(dir)
			}
			g.packages[dir] = true
		}
	}
	entries, homes := map[string]bool{}, map[string]bool{}
	for dir := range g.packages {
		for g.packages[filepath.Dir(dir)] {
			dir = filepath.Dir(dir)
		}
		entry := filepath.Dir(dir)
		if m := stdlib.FindStringSubmatch(entry); m != nil {
			if m[1] != "" {
				homes[m[1]] = true
			}
		} else {
			entries[entry] = true
		}
	}
	g.entries, g.homes = slices.Collect(maps.Keys(entries)), slices.Collect(maps.Keys(homes))
	longest(g.entries)
	longest(g.homes)
}

func (g *grouper) add(f *file) {
	real := g.Real(filepath.Dir(f.path))
	if f.real != "" && f.through == 0 {
		real = f.real
	}
	place, name, point := g.Place(real)
	if place == launch.PlaceState {
		return
	}
	group := Group{Place: place, FileSystem: name, Gains: g.gains(real)}
	if !group.Gains {
		group.Prefix = point
		if point == "/" {
			group.Prefix = top(real)
		}
		group.what = "on this node"
	} else {
		g.classify(f, &group)
		if group.Prefix == "" {
			group.Prefix, group.what = point, "elsewhere"
		} else {
			g.place(&group)
		}
	}
	at := g.groups[group.key()]
	if at == nil {
		at = &group
		g.groups[group.key()] = at
	}
	at.count(f)
}

// place says where a group's prefix is.
func (g *grouper) place(group *Group) {
	group.Place, group.FileSystem, _ = g.Place(g.Real(group.Prefix))
	group.Gains = g.gains(group.Prefix)
}

func (g *Group) key() string { return string(g.Kind) + " " + g.Prefix }

func (g *Group) take(other *Group) {
	for _, f := range other.files {
		g.count(f)
	}
}

func (g *Group) count(f *file) {
	g.files = append(g.files, f)
	if f.operations > f.misses {
		g.Files++
	}
	g.Operations += f.operations
	g.Misses += f.misses
	g.Through += f.through
	g.Bytes += f.read()
}

// top is the first directory of a path.
func top(path string) string {
	first, _, _ := strings.Cut(path[1:], "/")
	return "/" + first
}

// classify finds what a file is part of; the prefix is "" for what can't be routed by itself.
func (g *grouper) classify(f *file, group *Group) {
	set := func(kind route.Kind, prefix, path, what string) {
		group.Kind, group.Prefix, group.Route, group.what = kind, prefix, path, what
	}
	if prefix := g.above(f.path, "conda-meta"); prefix != "" {
		set(route.Conda, prefix, prefix, "conda environment")
		return
	}
	if prefix := g.above(f.path, "pyvenv.cfg"); prefix != "" {
		set(route.Venv, prefix, prefix, "virtual environment")
		return
	}
	for _, home := range g.homes {
		if route.Below(f.path, home) {
			set(route.Program, home, filepath.Join(home, "bin"), "Python installation")
			return
		}
	}
	for _, entry := range g.python {
		if route.Below(f.path, entry) {
			set(route.PythonPath, entry, entry, "Python packages")
			return
		}
	}
	for _, name := range []string{"/site-packages", "/dist-packages"} {
		if before, _, ok := strings.Cut(f.path+"/", name+"/"); ok {
			set(route.PythonPath, before+name, before+name, "Python packages")
			return
		}
	}
	for _, entry := range g.entries {
		if !g.imported(f, entry) {
			continue
		}
		// A script's own directory comes before PYTHONPATH: only the script's name can route it.
		for _, arg := range g.args {
			if filepath.Dir(arg) == entry && strings.HasSuffix(arg, ".py") {
				set(route.File, entry, arg, "script and its packages")
				return
			}
		}
		set(route.PythonPath, entry, entry, "Python packages")
		return
	}
	dir := hardware.ReplaceAllString(filepath.Dir(f.path), "")
	switch there := f.operations > f.misses; {
	case library.MatchString(filepath.Base(f.path)) && (f.opened || slices.Contains(g.libraries, dir)):
		set(route.Library, dir, dir, "libraries")
	case slices.Contains(g.libraries, f.path):
		set(route.Library, f.path, f.path, "libraries")
	case g.ran[f.path]: // an interpreter lists the directory of its script
		set(route.Program, f.path, f.path, "programs")
	case f.executed, g.ran[dir] && !there:
		set(route.Program, dir, dir, "programs")
	case there && (f.opened || f.listed):
		set(route.File, f.path, f.path, "input")
	}
}

// above is the nearest directory at or above path that has the name; "" if none has.
func (g *grouper) above(path, name string) string {
	if path == "/" {
		return ""
	}
	key := name + path
	found, known := g.markers[key]
	if !known {
		if g.Has(filepath.Join(path, name)) {
			found = path
		} else {
			found = g.above(filepath.Dir(path), name)
		}
		g.markers[key] = found
	}
	return found
}

// imported tells whether Python asked for the file because of an entry of its path.
func (g *grouper) imported(f *file, entry string) bool {
	if f.path == entry {
		return true
	}
	rest, below := strings.CutPrefix(f.path, strings.TrimSuffix(entry, "/")+"/")
	if !below {
		return false
	}
	first, _, deeper := strings.Cut(rest, "/")
	if deeper {
		return first == "__pycache__" || g.packages[filepath.Join(entry, first)]
	}
	if g.packages[f.path] || f.operations == f.misses {
		return true
	}
	return slices.Contains([]string{".py", ".pyc", ".so", ".pth"}, filepath.Ext(first))
}

// foldInputs makes one group of many inputs of a directory, if nothing is written there.
func (g *grouper) foldInputs() {
	byDir := map[string][]*Group{}
	for _, group := range g.groups {
		if group.Kind == route.File && group.what == "input" && !group.files[0].listed {
			byDir[filepath.Dir(group.Prefix)] = append(byDir[filepath.Dir(group.Prefix)], group)
		}
	}
	for dir, inputs := range byDir {
		if len(inputs) <= fewInputs || g.changed[dir] || dir == "/" {
			continue
		}
		all := &Group{Prefix: dir, Kind: route.File, Route: dir, what: "inputs"}
		g.place(all)
		for _, group := range inputs {
			delete(g.groups, group.key())
			all.take(group)
		}
		if listing := g.groups[all.key()]; listing != nil {
			all.take(listing)
		}
		g.groups[all.key()] = all
	}
}
