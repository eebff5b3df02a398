package advise

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/launch/route"
)

// Input is a file or directory that is read, and how it is routed.
type Input struct {
	Path  string `json:"path"`
	Named string `json:"named"` // the argument or variable that names it, "" if none does
	Write string `json:"write"` // what to write in its stead
}

// Output is a directory that is written to.
type Output struct {
	Dir   string `json:"dir"`
	Files int    `json:"files"`
}

// Report is what `copper advise --json` prints. Fields are only ever added; Version changes if one must
// change its meaning.
type Report struct {
	Version    int         `json:"version"` // 1
	Command    []string    `json:"command"`
	Status     int         `json:"status"` // of the command, as a shell tells it
	View       *route.View `json:"view,omitempty"`
	Paths      int         `json:"paths"`
	Operations int         `json:"operations"`
	Misses     int         `json:"misses"`
	Bytes      int64       `json:"bytes"`
	Groups     []*Group    `json:"groups"`  // the most asked first
	Lines      []string    `json:"lines"`   // for the job script, after copper launch
	Further    []string    `json:"further"` // the same, for what is less worth while
	Inputs     []Input     `json:"inputs"`
	Bypasses   []Bypass    `json:"bypasses"`
	Outputs    []Output    `json:"outputs"`
	Refused    []string    `json:"refused"` // writes through the mount, which failed
	Local      bool        `json:"local"`   // file systems of this node counted as shared
}

// mostVariables is how many variables one line changes; more would be blind.
const mostVariables = 2

// mostInputs bounds how many inputs are named.
const mostInputs = 10

// Report says what was learnt of a command. options are those of copper env that say which mount is meant.
func (t *Tally) Report(s System, command []string, status int, options []string) Report {
	r := Report{Version: 1, Command: command, Status: status, View: t.view, Paths: len(t.files), Local: s.Local,
		Groups: []*Group{}, Lines: []string{}, Further: []string{}, Inputs: []Input{}, Outputs: []Output{}, Refused: []string{}}
	args := command[1:]
	if strings.Contains(command[0], "/") {
		args = command
	}
	r.Groups = append(r.Groups, t.groups(s, args)...)
	for _, g := range r.Groups {
		r.Operations += g.Operations
		r.Misses += g.Misses
		r.Bytes += g.Bytes
	}
	r.outputs(t, s)
	r.Bypasses = append([]Bypass{}, t.bypasses(s, r.Groups)...)
	r.suggest(t, s, args, options)
	return r
}

// variable is what routing a kind changes.
var variable = map[route.Kind]string{
	route.PythonPath: "PYTHONPATH", route.Venv: "PYTHONPATH", route.Conda: route.CondaPrefix, route.Library: "LD_LIBRARY_PATH", route.Program: "PATH",
}

// suggest makes the lines to paste.
func (r *Report) suggest(t *Tally, s System, args, options []string) {
	env := append([]string{"copper", "env"}, options...)
	first, further := slices.Clone(env), slices.Clone(env)
	var variables []string
	conda := ""
	for _, g := range r.Groups {
		switch {
		case !g.Worth:
		case g.Kind == route.File, g.Kind == route.Program && !slices.Contains(t.entries(s, "PATH"), g.Route): // which is found by its name
			if len(r.Inputs) < mostInputs {
				r.input(t, s, g, args, options)
			}
		case g.Kind == route.Conda && conda != "": // one can be active
			further = append(further, option(g)...)
		default:
			if v := variable[g.Kind]; !slices.Contains(variables, v) {
				variables = append(variables, v)
			}
			if slices.Index(variables, variable[g.Kind]) >= mostVariables {
				further = append(further, option(g)...)
				continue
			}
			first = append(first, option(g)...)
			if g.Kind == route.Conda {
				conda = g.Route
			}
		}
	}
	if len(first) > len(env) {
		r.Lines = append(r.Lines, `eval "$(`+words(first)+`)"`)
	}
	if conda != "" {
		r.Lines = append(r.Lines, `conda activate "$`+route.CondaPrefix+`"`)
	}
	if len(further) > len(env) {
		r.Further = append(r.Further, `eval "$(`+words(further)+`)"`)
	}
}

func option(g *Group) []string { return []string{"--" + string(g.Kind), g.Route} }

func words(all []string) string {
	quoted := make([]string, len(all))
	for i, w := range all {
		quoted[i] = route.Sh.Word(w)
	}
	return strings.Join(quoted, " ")
}

// input says how an input is routed: by whoever names it.
func (r *Report) input(t *Tally, s System, g *Group, args, options []string) {
	in := Input{Path: g.Route}
	for _, arg := range args {
		for _, path := range s.named(arg) {
			if path, _ = t.behind(path); in.Named == "" && (route.Below(g.Route, path) || g.Kind == route.Program && route.Below(path, g.Prefix)) {
				in.Path, in.Named = path, arg
			}
		}
	}
	for _, assignment := range s.Env {
		name, value, _ := strings.Cut(assignment, "=")
		if in.Named == "" && filepath.IsAbs(value) && !everybodys[name] && filepath.Dir(value) != "/" && value != "/" && route.Below(g.Route, filepath.Clean(value)) {
			in.Path, in.Named = filepath.Clean(value), "$"+name
		}
	}
	in.Write = `"$(` + words(append(append([]string{"copper", "env"}, options...), "--file", in.Path)) + `)"`
	if in.Named == "" {
		r.Bypasses = append(r.Bypasses, Bypass{Why: HardCoded, Path: g.Route, From: r.Command[0], Count: g.Files,
			Text:   g.Route + " is named neither by the command line nor by the environment",
			Advice: "tell the program or its configuration file to read " + in.Write + "; where the path is hard-coded, the mount can't help"})
		return
	}
	if !slices.Contains(r.Inputs, in) {
		r.Inputs = append(r.Inputs, in)
	}
}

// everybodys are variables that name directories without being about inputs.
var everybodys = map[string]bool{"PWD": true, "OLDPWD": true, "HOME": true, "SHELL": true, "TMPDIR": true, "_": true}

// outputs says what was written.
func (r *Report) outputs(t *Tally, s System) {
	dirs := map[string]int{}
	for _, f := range t.files {
		dir := filepath.Dir(f.path)
		switch {
		case !s.gains(dir):
		case f.changed && filepath.Base(dir) != "__pycache__" && filepath.Base(f.path) != "__pycache__":
			dirs[dir]++
		case f.refused && f.through > 0:
			r.Refused = append(r.Refused, f.path)
		}
	}
	slices.Sort(r.Refused)
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		r.Outputs = append(r.Outputs, Output{dir, dirs[dir]})
	}
}
