package profiling

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// pathSections are about paths, if the daemons kept any.
func (c *Cluster) pathSections() (all []section) {
	top := c.hottest()
	if len(c.paths) > 0 {
		all = append(all, c.classSection(), c.routes(), c.vain())
		if len(top) == 0 {
			for _, p := range c.paths {
				top = append(top, TopPath{Path: p.Path, Requests: p.Requests(), Misses: p.Misses, Negatives: p.Negatives, Bytes: p.Bytes})
			}
			sortTop(top)
		}
	}
	if len(top) == 0 {
		return []section{{Title: "Which files they were", Text: "That was not asked for: a job that is started with -N 100 or -A also tells which paths were used most, which names were looked for in vain, and what to route and to prune."}}
	}
	hot := sheet{Title: "hottest paths", Columns: named("requests", "waited", "bytes", "path:path", "kind:text")}
	missed := sheet{Title: "most missed names", Columns: named("requests", "name:path", "hint:hint")}
	for _, p := range top {
		missing := p.Negatives > 0 && p.Negatives >= p.Requests-p.Error
		switch {
		case missing && len(missed.Rows) < reportRows:
			missed.add(grouped(float64(p.Requests)), shownPath(p.Path), hints[Class(p.Path, true)])
		case !missing && len(hot.Rows) < reportRows:
			hot.add(grouped(float64(p.Requests)), grouped(float64(p.Misses)), sized(float64(p.Bytes)), shownPath(p.Path), Class(p.Path, false))
		}
	}
	if len(hot.Rows) > 0 {
		all = append(all, section{Title: "Hottest paths", Text: "Of all ranks together.", Tables: []sheet{hot}})
	}
	if len(missed.Rows) > 0 {
		all = append(all, section{Title: "Most missed names", Text: "Names that were looked for and are not there.", Tables: []sheet{missed}})
	}
	return all
}

func (c *Cluster) classSection() section {
	t := sheet{Title: "kinds of paths", Columns: named("class:text", "paths", "requests", "bytes")}
	for _, k := range c.classes() {
		t.add(k.name, grouped(float64(k.paths)), grouped(float64(k.requests)), sized(float64(k.data)))
	}
	return section{Title: "Kinds of paths", Tables: []sheet{t}}
}

// routed are used paths that lie below one directory.
type routed struct {
	at              string
	paths, requests int64
	libraries, data int64
	packages        map[string]int64 // requests below each directory of packages
}

func (r *routed) add(p *PathUse) {
	r.paths++
	r.requests += p.Requests()
	r.data += p.Bytes
	if library.MatchString(p.Path) {
		r.libraries++
	}
	if at := packages.FindStringIndex(p.Path); at != nil {
		if r.packages == nil {
			r.packages = map[string]int64{}
		}
		r.packages[strings.TrimSuffix(p.Path[:at[1]], "/")] += p.Requests()
	}
}

// settle takes the directory of packages in which nearly all of it lies.
func (r *routed) settle() {
	for at, n := range r.packages {
		if 10*n >= 9*r.requests {
			r.at = at
		}
	}
}

// routes says in which few directories the used paths lie, with what routes them.
func (c *Cluster) routes() section {
	found := map[string]*routed{}
	var others []*PathUse
	for _, p := range c.paths {
		if !p.Exists() {
			continue
		}
		at := rootOf(p.Path)
		if at == "" {
			others = append(others, p)
			continue
		}
		if found[at] == nil {
			found[at] = &routed{at: at}
		}
		found[at].add(p)
	}
	all := slices.Collect(maps.Values(found))
	for _, r := range divide("", others) {
		all = append(all, narrow(r, others))
	}
	var whole int64
	for _, r := range all {
		r.settle()
		whole += r.requests
	}
	all = slices.DeleteFunc(all, func(r *routed) bool { return 100*r.requests < whole }) // not worth a line
	slices.SortFunc(all, func(a, b *routed) int {
		return cmp.Or(cmp.Compare(b.requests, a.requests), strings.Compare(a.at, b.at))
	})
	t := sheet{Title: "what to route", Columns: named("paths", "requests", "bytes", "below:path", "what routes it:hint")}
	for _, r := range all[:min(len(all), reportRows/2)] {
		t.add(grouped(float64(r.paths)), grouped(float64(r.requests)), sized(float64(r.data)), shownPath(r.at), r.hint())
	}
	return section{Title: "What is worth routing", Text: "Where the used paths lie. Route these in the next job, and nothing else.", Tables: []sheet{t}}
}

// rootOf is the environment or directory of packages that a path is part of, "" for none.
func rootOf(p string) string {
	if m := environment.FindStringSubmatch(p); m != nil {
		return m[1]
	}
	if m := packages.FindStringIndex(p); m != nil {
		return strings.TrimSuffix(p[:m[1]], "/")
	}
	return ""
}

// divide sums up what lies in each entry of a directory.
func divide(dir string, paths []*PathUse) map[string]*routed {
	found := map[string]*routed{}
	for _, p := range paths {
		rest, ok := strings.CutPrefix(p.Path, dir+"/")
		if !ok || rest == "" {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		at := dir + "/" + name
		if found[at] == nil {
			found[at] = &routed{at: at}
		}
		found[at].add(p)
	}
	return found
}

// narrow goes down while nearly all lies in one entry, but not to a file.
func narrow(r *routed, paths []*PathUse) *routed {
	for {
		var most *routed
		for _, in := range divide(r.at, paths) {
			if most == nil || in.requests > most.requests {
				most = in
			}
		}
		if most == nil || 10*most.requests < 9*r.requests || most.paths == 1 {
			return r
		}
		r = most
	}
}

// hint is what routes it.
func (r *routed) hint() string {
	name := path.Base(r.at)
	switch {
	case packages.MatchString(r.at):
		return "copper env --pythonpath"
	case strings.Contains(name, "venv") || strings.Contains(r.at, "/virtualenvs/"):
		return "copper env --venv"
	case environment.MatchString(r.at):
		return "copper env --conda"
	case 2*r.libraries > r.paths:
		return "copper env --ld"
	}
	return "the mount before the paths of these that are given"
}

// searched is a directory in which names were looked for.
type searched struct {
	dir                    string
	names, requests, there int64
	classes                map[string]int64
}

// vain says which directories were searched for what is not there, and what to do about it.
func (c *Cluster) vain() section {
	found := map[string]*searched{}
	for _, p := range c.paths {
		d := found[path.Dir(p.Path)]
		if d == nil {
			d = &searched{dir: path.Dir(p.Path), classes: map[string]int64{}}
			found[d.dir] = d
		}
		switch {
		case p.Missing():
			d.names++
			d.requests += p.Requests()
			d.classes[Class(p.Path, true)] += p.Requests()
		case p.Exists():
			d.there++
		}
	}
	var all []*searched
	for _, d := range found {
		if d.names > 0 && d.there == 0 {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *searched) int {
		return cmp.Or(cmp.Compare(b.requests, a.requests), strings.Compare(a.dir, b.dir))
	})
	t := sheet{Title: "what to prune", Columns: named("requests", "names", "directory:path", "hint:hint")}
	for _, d := range all[:min(len(all), reportRows/2)] {
		t.add(grouped(float64(d.requests)), grouped(float64(d.names)), shownPath(d.dir), d.hint())
	}
	s := section{Title: "What is worth pruning", Text: "Nothing: every directory in which a name was looked for in vain also holds names that were used. Copper answers such misses by the directory's listing."}
	if len(t.Rows) > 0 {
		s.Text, s.Tables = "Directories in which names were looked for, and nothing was ever found.", []sheet{t}
	}
	return s
}

func (d *searched) hint() string {
	most, class := int64(-1), ""
	for name, n := range d.classes {
		if n > most || n == most && name < class {
			most, class = n, name
		}
	}
	switch class {
	case HwcapsProbe, PythonZipProbe, VirtualEnvProbe:
		return hints[class]
	case MissingSharedLibrary:
		return "nothing in it was used: take it out of LD_LIBRARY_PATH, or put it last"
	}
	return "nothing in it was used: take it out of PYTHONPATH or PATH, or put it last"
}

// hints say what names that are missing are about.
var hints = map[string]string{
	PythonZipProbe:       "Python looks for a zipped library at each start; harmless",
	VirtualEnvProbe:      "Python looks whether it is in a virtual environment; harmless",
	HwcapsProbe:          "the loader looks for libraries made for this processor; harmless",
	MissingSharedLibrary: "a directory early in LD_LIBRARY_PATH, or an RPATH, that lacks this library",
	OtherNegativeProbe:   "an entry early in PATH or PYTHONPATH that lacks this name",
}
