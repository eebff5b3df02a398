package route

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

// Wish is one path that is to go through the mount. Path is absolute.
type Wish struct {
	Kind Kind
	Path string
}

// Route is what became of a wish; a virtual environment may need two.
type Route struct {
	Kind   Kind   `json:"kind"`
	Path   string `json:"path"`   // without the mount
	Routed string `json:"routed"` // with it
}

// Assignment is a variable of the environment and its new value.
type Assignment struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Unset bool   `json:"unset,omitempty"` // the variable goes
}

// Remark is what the user should know: a known mistake, or what is left to do.
type Remark struct {
	Rule    int    `json:"rule,omitempty"` // of the package comment
	Warning bool   `json:"warning"`
	Path    string `json:"path,omitempty"`
	Text    string `json:"text"`
	Advice  string `json:"advice,omitempty"`
}

// Plan is what `copper env --json` prints. Fields are only ever added; Version changes if one must
// change its meaning.
type Plan struct {
	Version int `json:"version"` // 1
	View
	Routes  []Route      `json:"routes"`
	Assign  []Assignment `json:"assign"`
	Remarks []Remark     `json:"remarks"`
}

// Router plans routes. All fields must be set.
type Router struct {
	View   View
	Getenv func(name string) string
	// Look looks at paths, which may hang, and returns for each what [launch.Doctor.CheckPath] found.
	Look func(paths []string) map[string][]launch.Finding
	// Places tells where files are.
	Places *launch.Placement
}

// Plan makes the assignments for wishes. The error is a [launch.InputError] that names every path that
// can't be routed.
func (r Router) Plan(wishes []Wish) (Plan, error) {
	p := Plan{Version: 1, View: r.View, Routes: []Route{}, Assign: []Assignment{}, Remarks: []Remark{}}
	var refused refusals
	wishes = slices.Clone(wishes)
	var paths []string
	for i, w := range wishes {
		path := filepath.Clean(w.Path)
		if behind, below := r.View.Behind(path); below {
			p.warn(1, w.Path, "is below the mount already: it is not prepended a second time", "name the path without the mount")
			path = behind
		}
		wishes[i].Path = path
		refused.add(checkName(wishes[i]), r.checkOutput(path))
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if err := refused.err(); err != nil {
		return p, err
	}
	found := r.Look(paths)
	for _, path := range paths {
		for _, f := range found[path] {
			switch f.Level {
			case launch.Problem:
				refused.add(launch.BadInput("%s: %s", f.Found, f.Advice))
			case launch.Warning:
				p.remark(Remark{Rule: 9, Warning: true, Path: path, Text: f.Found, Advice: f.Advice})
			}
		}
	}
	if err := refused.err(); err != nil {
		return p, err
	}
	for _, w := range wishes {
		refused.add(r.add(&p, w))
	}
	if err := refused.err(); err != nil {
		return p, err
	}
	r.assign(&p)
	r.judge(&p)
	return p, nil
}

// add routes one path that is there.
func (r Router) add(p *Plan, w Wish) error {
	entries, err := resolve(w)
	if err != nil {
		return err
	}
	for _, path := range entries {
		settled, err := r.settle(path)
		if err != nil {
			return err
		}
		routed, err := r.View.Through(settled)
		if err != nil {
			return err
		}
		route := Route{w.Kind, settled, routed}
		if !slices.Contains(p.Routes, route) {
			p.Routes = append(p.Routes, route)
		}
	}
	return nil
}

// assign makes the assignments of p's routes.
func (r Router) assign(p *Plan) {
	for _, name := range lists {
		var entries []string
		for _, route := range p.Routes {
			if route.Kind.list() == name {
				entries = append(entries, route.Routed)
			}
		}
		if entries != nil {
			value := r.prepend(entries, r.Getenv(name))
			p.Assign = append(p.Assign, Assignment{Name: name, Value: value})
		}
	}
	for _, route := range p.Routes {
		if route.Kind == Conda {
			p.Assign = append(p.Assign, Assignment{Name: CondaPrefix, Value: route.Routed})
		}
	}
}

// prepend puts entries before a list. Where the list has them, with the mount or without, they go from
// there: what is not in the first would be looked for in the other, on the file system, by every process.
func (r Router) prepend(entries []string, list string) string {
	value := strings.Join(entries, ":")
	if list == "" {
		return value
	}
	for entry := range strings.SplitSeq(list, ":") {
		through := entry
		if filepath.IsAbs(entry) {
			if t, err := r.View.Through(filepath.Clean(entry)); err == nil {
				through = t
			}
		}
		if !slices.Contains(entries, through) {
			value += ":" + entry
		}
	}
	return value
}

// Undo makes the assignments by which the variables name the same paths without the mount.
func (r Router) Undo() Plan {
	p := Plan{Version: 1, View: r.View, Routes: []Route{}, Assign: []Assignment{}, Remarks: []Remark{}}
	for _, name := range lists {
		var entries []string
		changed := false
		for entry := range strings.SplitSeq(r.Getenv(name), ":") {
			if filepath.IsAbs(entry) {
				if behind, below := r.View.Behind(filepath.Clean(entry)); below {
					entry, changed = behind, true
				}
			}
			if !changed || !slices.Contains(entries, entry) {
				entries = append(entries, entry)
			}
		}
		if changed {
			p.Assign = append(p.Assign, Assignment{Name: name, Value: strings.Join(entries, ":")})
		}
	}
	if r.Getenv(CondaPrefix) != "" {
		p.Assign = append(p.Assign, Assignment{Name: CondaPrefix, Unset: true})
	}
	return p
}

func (p *Plan) warn(rule int, path, text, advice string) {
	p.remark(Remark{Rule: rule, Warning: true, Path: path, Text: path + " " + text, Advice: advice})
}

func (p *Plan) note(rule int, path, text string) {
	p.remark(Remark{Rule: rule, Path: path, Text: text})
}

func (p *Plan) remark(r Remark) {
	if !slices.Contains(p.Remarks, r) {
		p.Remarks = append(p.Remarks, r)
	}
}

// refusals are the reasons why nothing is routed.
type refusals []string

func (r *refusals) add(errs ...error) {
	for _, err := range errs {
		if err != nil && !slices.Contains(*r, err.Error()) {
			*r = append(*r, err.Error())
		}
	}
}

func (r *refusals) err() error {
	if len(*r) == 0 {
		return nil
	}
	return launch.BadInput("%s", strings.Join(*r, "; "))
}
