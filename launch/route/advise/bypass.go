package advise

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/launch/route"
)

// Why is why an access does not go through the mount.
type Why string

// The reasons.
const (
	Direct    Why = "direct"     // the mount is in use for the prefix, and yet not for this access
	Leaves    Why = "link"       // a symbolic link leads out
	Script    Why = "script"     // a script names its interpreter
	RPath     Why = "rpath"      // a binary names directories of libraries, before LD_LIBRARY_PATH
	RunPath   Why = "runpath"    // the same, after LD_LIBRARY_PATH
	HardCoded Why = "hard-coded" // neither command line nor environment names the path
)

// Bypass is what makes accesses bypass the mount.
type Bypass struct {
	Why    Why    `json:"why"`
	Path   string `json:"path"`   // where they go
	From   string `json:"from"`   // an example of who goes there
	Count  int    `json:"count"`  // of such, From included
	Text   string `json:"text"`   // for people
	Advice string `json:"advice"` // what to do about it
}

// mostExamined bounds how many binaries are looked at.
const mostExamined = 1000

// bypasses finds what would bypass the mount, or does.
func (t *Tally) bypasses(s System, groups []*Group) []Bypass {
	found := map[Bypass]*Bypass{}
	add := func(why Why, path, from string) {
		key := Bypass{Why: why, Path: path}
		if found[key] == nil {
			found[key] = &Bypass{Why: why, Path: path, From: from}
		}
		found[key].Count++
	}
	examined := 0
	for _, g := range groups {
		if g.Kind == "" {
			continue
		}
		_, _, home := s.Place(s.Real(g.Prefix))
		for _, f := range g.files {
			if f.through < f.operations && g.Through > 0 && f.path != g.Prefix {
				add(Direct, g.Prefix, f.path)
			}
			if f.real != "" {
				if _, below := t.behind(f.real); f.through > 0 && !below {
					add(Leaves, filepath.Dir(f.real), f.path)
				} else if _, _, there := s.Place(f.real); f.through == 0 && there != home && home != "" && route.Below(s.Real(g.Prefix), home) {
					add(Leaves, filepath.Dir(f.real), f.path)
				}
			}
			isLibrary := f.opened && library.MatchString(filepath.Base(f.path))
			if examined == mostExamined || !isLibrary && !f.executed {
				continue
			}
			examined++
			if f.executed {
				// Not the interpreter itself: that of a virtual environment is a link, but finds the packages beside it.
				if i := s.Script(f.path); i != "" && s.gains(filepath.Dir(i)) {
					add(Script, i, f.path)
				}
			}
			search := s.Search(f.path)
			for _, dir := range search.RPath {
				if s.gains(dir) {
					add(RPath, dir, f.path)
				}
			}
			for _, dir := range search.RunPath {
				if s.gains(dir) {
					add(RunPath, dir, f.path)
				}
			}
		}
	}
	var all []Bypass
	for _, b := range found {
		b.explain()
		all = append(all, *b)
	}
	slices.SortFunc(all, func(a, b Bypass) int {
		return cmp.Or(cmp.Compare(a.Why, b.Why), b.Count-a.Count, cmp.Compare(a.Path, b.Path))
	})
	return all
}

// explain says it for people.
func (b *Bypass) explain() {
	from := b.From
	if b.Count > 1 {
		from = fmt.Sprintf("%s and %d more", from, b.Count-1)
	}
	switch b.Why {
	case Direct:
		b.Text = fmt.Sprintf("%s is used through the mount, and directly too: %s", b.Path, from)
		b.Advice = "look for where that name comes from: a variable, a configuration file, the program itself"
	case Leaves:
		b.Text = fmt.Sprintf("symbolic links lead out to %s: %s", b.Path, from)
		b.Advice = "name the real path"
	case Script:
		b.Text = fmt.Sprintf("#!%s is hard-coded in %s", b.Path, from)
		b.Advice = "start the script by its interpreter's name: " + strings.TrimRight(filepath.Base(b.Path), "0123456789.") + " SCRIPT"
	case RPath:
		b.Text = fmt.Sprintf("RPATH %s is hard-coded in %s, and comes before LD_LIBRARY_PATH", b.Path, from)
		b.Advice = "link with $ORIGIN, or have it changed: patchelf --set-rpath"
	case RunPath:
		b.Text = fmt.Sprintf("RUNPATH %s is hard-coded in %s", b.Path, from)
		b.Advice = "LD_LIBRARY_PATH comes before it: --ld " + route.Sh.Word(b.Path)
	}
}
