package route

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

// mostVariables is how many of [everywhere] may go through the mount before that looks blind.
const mostVariables = 2

// everywhere are the variables that people prepend the mount to all at once.
var everywhere = []string{"PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_ROOT", "LD_LIBRARY_PATH", "PATH"}

// judge applies the rules to what is to be routed.
func (r Router) judge(p *Plan) {
	r.judgeVariables(p)
	prefix := ""
	for _, route := range p.Routes {
		if route.Kind == Conda {
			prefix = route.Path
		}
	}
	for _, route := range p.Routes {
		r.judgeOutput(p, route.Path)
		switch {
		case route.Kind == Conda:
			p.note(3, route.Path, `then: conda activate "$`+CondaPrefix+`"`)
		case prefix != "" && Below(route.Path, prefix) && route.Kind != File:
			p.warn(3, route.Path, "is part of the conda environment "+prefix, "leave it out: of a conda environment only the path given to conda activate")
		case route.Kind == Program:
			p.note(4, route.Path, "PATH is needed only if the binary itself must come through Copper")
			if venv := enclosing(route.Path, "pyvenv.cfg"); venv != "" {
				p.warn(2, route.Path, "is part of the virtual environment "+venv, "leave it out: of a virtual environment only its packages (--venv)")
			}
		case route.Kind == Library:
			r.judgeLibraries(p, route.Path)
		}
		if route.Kind == Program || route.Kind == Conda {
			r.judgeScripts(p, route)
		}
		if route.Kind == Venv || route.Kind == PythonPath {
			judgePaths(p, route.Path)
		}
	}
	r.judgeCores(p)
}

// judgeVariables warns if too much goes through the mount, this time or before.
func (r Router) judgeVariables(p *Plan) {
	var routed []string
	for _, name := range everywhere {
		value := r.Getenv(name)
		for _, a := range p.Assign {
			if a.Name == name || a.Name == CondaPrefix && name == "CONDA_PREFIX" {
				value = a.Value
			}
		}
		active := r.Getenv("CONDA_PREFIX") // conda activate has put it into PATH
		if slices.ContainsFunc(strings.Split(value, ":"), func(entry string) bool {
			return Below(entry, r.View.Mount) && (name != "PATH" || active == "" || !Below(entry, active))
		}) {
			routed = append(routed, name)
		}
	}
	if len(routed) > mostVariables {
		p.remark(Remark{Rule: 1, Warning: true, Text: strings.Join(routed, ", ") + " all go through the mount",
			Advice: "prepend it only where a path needs it: copper advise -- COMMAND tells where"})
	}
	if Below(r.Getenv("VIRTUAL_ENV"), r.View.Mount) && r.Getenv("VIRTUAL_ENV") != "" {
		p.remark(Remark{Rule: 2, Warning: true, Text: "VIRTUAL_ENV names the mount",
			Advice: "activate the environment without it, and route its packages alone (--venv)"})
	}
}

// mostScanned bounds how many files of a directory are looked at.
const mostScanned = 300

// judgeLibraries warns of what LD_LIBRARY_PATH can't change.
func (r Router) judgeLibraries(p *Plan, dir string) {
	libraries, elsewhere, example := 0, 0, ""
	for _, name := range names(dir) {
		if !strings.Contains(name, ".so") {
			continue
		}
		libraries++
		if d := Libraries(filepath.Join(dir, name)); len(d.RPath) > 0 {
			elsewhere++
			example = fmt.Sprintf("%s has RPATH %s", name, d.RPath[0])
		}
	}
	if libraries == 0 {
		p.warn(5, dir, "has no shared library", "name the directory that the library is in")
	}
	if elsewhere > 0 {
		p.warn(8, dir, fmt.Sprintf("has libraries that look for others by a hard-coded path before LD_LIBRARY_PATH (%d; %s)", elsewhere, example),
			"those bypass the mount")
	}
}

// judgeScripts warns of scripts whose interpreter is a hard-coded path.
func (r Router) judgeScripts(p *Plan, route Route) {
	dir := route.Path
	if route.Kind == Conda {
		dir = filepath.Join(dir, "bin")
	}
	count, example := 0, ""
	for _, name := range names(dir) {
		interpreter := Shebang(filepath.Join(dir, name))
		if interpreter == "" {
			continue
		}
		if place, _, _ := r.Places.Of(interpreter); place.Gains() || Below(interpreter, route.Path) {
			count++
			example = name + " begins with #!" + interpreter
		}
	}
	if count > 0 {
		p.warn(8, dir, fmt.Sprintf("has scripts that name their interpreter by a hard-coded path, which bypasses the mount (%d; %s)", count, example),
			"start such a script by its interpreter's name: python SCRIPT")
	}
}

// judgePaths warns of editable installs: PYTHONPATH does not follow them, and they bypass the mount.
func judgePaths(p *Plan, dir string) {
	for _, name := range names(dir) {
		if !strings.HasSuffix(name, ".pth") {
			continue
		}
		content, err := readStart(filepath.Join(dir, name), 4096)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			if line = strings.TrimSpace(line); filepath.IsAbs(line) {
				p.warn(8, dir, fmt.Sprintf("has %s, which leads to %s without the mount", name, line), "route that too: --pythonpath "+line)
				return
			}
		}
	}
}

// judgeCores warns if the application is to be bound to Copper's cores.
func (r Router) judgeCores(p *Plan) {
	service := r.Getenv("COPPER_CORES")
	for _, name := range []string{"SLURM_CPU_BIND_LIST", "GOMP_CPU_AFFINITY", "I_MPI_PIN_PROCESSOR_LIST"} {
		if both := launch.CommonCores(service, r.Getenv(name)); len(both) > 0 {
			p.remark(Remark{Rule: 7, Warning: true, Text: fmt.Sprintf("%s binds the application to cores that COPPER_CORES gives to Copper: %v", name, both),
				Advice: "keep the service cores out of the application's binding list"})
		}
	}
}

// names are the first names in a directory.
func names(dir string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	found, _ := d.Readdirnames(mostScanned)
	slices.Sort(found)
	return found
}

// enclosing is the nearest directory at or above path that has the file name; "" if none has.
func enclosing(path, name string) string {
	for ; path != "/"; path = filepath.Dir(path) {
		if _, err := os.Lstat(filepath.Join(path, name)); err == nil {
			return path
		}
	}
	return ""
}
