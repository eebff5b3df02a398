package route

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/copper-hpc/copper/launch"
)

// checkName refuses names that a variable can't carry.
func checkName(w Wish) error {
	if strings.ContainsFunc(w.Path, unicode.IsControl) {
		return launch.BadInput("%q: a name with control characters can't be handed to a shell: rename it", w.Path)
	}
	if w.Kind.list() != "" && strings.Contains(w.Path, ":") {
		return launch.BadInput("%s: a colon ends an entry of %s: give --%s once for each directory", w.Path, w.Kind.list(), w.Kind)
	}
	if w.Kind == Library && strings.Contains(w.Path, ";") {
		return launch.BadInput("%s: a semicolon ends an entry of %s: rename it", w.Path, w.Kind.list())
	}
	if w.Path == "/" {
		return launch.BadInput("/ is everything: name the directory that the application reads")
	}
	return nil
}

// archives are the endings of files that Python imports from.
var archives = []string{".zip", ".egg", ".whl", ".pyz"}

// resolve checks that what is there is what the wish says, and returns the paths to route.
func resolve(w Wish) ([]string, error) {
	info, err := os.Stat(w.Path)
	if err != nil {
		return nil, launch.BadInput("%w", err)
	}
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(w.Path, name))
		return err == nil
	}
	if w.Kind == File {
		return []string{w.Path}, nil
	}
	if !info.IsDir() {
		if w.Kind == PythonPath && slices.Contains(archives, filepath.Ext(w.Path)) {
			return []string{w.Path}, nil
		}
		return nil, launch.BadInput("%s is a file: --%s takes the directory that it is in, --file takes inputs", w.Path, w.Kind)
	}
	switch {
	case w.Kind == Venv:
		return sitePackages(w.Path)
	case w.Kind == Conda && !has("conda-meta"):
		return nil, launch.BadInput("%s is not a conda environment (it has no conda-meta): `conda env list` shows where they are", w.Path)
	case w.Kind == PythonPath && has("pyvenv.cfg"):
		return nil, launch.BadInput("%s is a virtual environment: use --venv for it", w.Path)
	case w.Kind == PythonPath && has("conda-meta"):
		return nil, launch.BadInput("%s is a conda environment: use --conda for it", w.Path)
	}
	return []string{w.Path}, nil
}

// sitePackages are the directories of packages of a virtual environment.
func sitePackages(venv string) ([]string, error) {
	config, err := os.Open(filepath.Join(venv, "pyvenv.cfg"))
	if err != nil {
		return nil, launch.BadInput("%s is not a virtual environment (it has no pyvenv.cfg): use --pythonpath for a directory of packages", venv)
	}
	defer config.Close()
	version := ""
	for lines := bufio.NewScanner(config); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if key = strings.TrimSpace(key); key == "version" || key == "version_info" {
			if parts := strings.SplitN(strings.TrimSpace(value), ".", 3); len(parts) > 1 {
				version = parts[0] + "." + parts[1]
			}
		}
	}
	all := packagesBelow(venv, "*")
	if len(all) > 1 && version != "" {
		all = packagesBelow(venv, version)
	}
	if len(all) == 0 {
		return nil, launch.BadInput("%s has no lib/python%s/site-packages", venv, version)
	}
	return all, nil
}

// packagesBelow leaves out lib64 where it is a link to lib.
func packagesBelow(venv, version string) (dirs []string) {
	var seen []os.FileInfo
	for _, lib := range []string{"lib", "lib64"} {
		found, _ := filepath.Glob(filepath.Join(escapeGlob(venv), lib, "python"+version, "site-packages"))
		for _, dir := range found {
			info, err := os.Stat(dir)
			if err != nil || slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
				continue
			}
			seen, dirs = append(seen, info), append(dirs, dir)
		}
	}
	return dirs
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// settle is the path to route for one that may lead over symbolic links. One that leads on to another
// file system by an absolute path would lead out of the mount, so the real path is routed then.
func (r Router) settle(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", launch.BadInput("%w", err)
	}
	if real == path {
		return path, nil
	}
	_, _, here := r.Places.Of(path)
	_, _, there := r.Places.Of(real)
	if here == there && Below(path, r.View.Target) && Below(real, r.View.Target) {
		return path, nil // the view shows such links so that they stay in it
	}
	if target, err := filepath.EvalSymlinks(r.View.Target); err == nil && Below(real, target) {
		return filepath.Join(r.View.Target, real[len(strings.TrimSuffix(target, "/")):]), nil
	}
	if !Below(real, r.View.Target) && Below(path, r.View.Target) {
		return "", launch.BadInput("%s leads to %s, which is not below %s: the mount does not show it", path, real, r.View.Target)
	}
	return real, nil
}
