package advise

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/route"
)

// System is what is asked of the machine when the command has ended. All fields must be set.
type System struct {
	Dir    string              // working directory of the command
	Env    []string            // NAME=value
	Has    func(string) bool   // there is such a path
	Real   func(string) string // the path without symbolic links, as far as it is there
	Place  func(real string) (place launch.Place, name, point string)
	Local  bool // file systems of this node count as shared
	Script func(path string) (interpreter string)
	Search func(path string) route.Search
}

// ThisSystem is this machine; local tells that its own file systems count as shared.
func ThisSystem(local bool) (System, error) {
	places, err := launch.ReadPlacement()
	if err != nil {
		return System{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return System{}, err
	}
	known := map[string]string{"/": "/"}
	var real func(path string) string
	real = func(path string) string {
		if r, ok := known[path]; ok {
			return r
		}
		r := path
		if place, _, _ := places.Of(path); place != launch.PlaceCopper { // which may be dead
			var err error
			if r, err = filepath.EvalSymlinks(path); err != nil {
				r = filepath.Join(real(filepath.Dir(path)), filepath.Base(path))
			}
		}
		known[path] = r
		return r
	}
	return System{
		Dir: dir, Env: os.Environ(),
		Has: func(path string) bool {
			_, err := os.Lstat(path)
			return err == nil
		},
		Real: real, Place: places.Of, Local: local, Script: route.Shebang, Search: route.Libraries,
	}, nil
}

// own are directories that are part of every node, whatever file system they are on.
var own = []string{"/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/run", "/boot", "/var/lib", "/var/cache"}

// gains tells whether what is at a path can gain from being routed.
func (s System) gains(path string) bool {
	path = s.Real(path)
	place, _, _ := s.Place(path)
	if place.Gains() {
		return true
	}
	isOwn := slices.ContainsFunc(own, func(dir string) bool { return route.Below(path, dir) })
	return s.Local && !isOwn && place != launch.PlaceState && place != launch.PlaceCopper
}

func (s System) getenv(name string) string {
	for i := len(s.Env) - 1; i >= 0; i-- {
		if value, ok := cutName(s.Env[i], name); ok {
			return value
		}
	}
	return ""
}

func cutName(assignment, name string) (value string, ok bool) {
	if len(assignment) > len(name) && assignment[len(name)] == '=' && assignment[:len(name)] == name {
		return assignment[len(name)+1:], true
	}
	return "", false
}
