package route

import (
	"path/filepath"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

// View is a mount, and the directory that it shows. Both are clean and absolute.
type View struct {
	Mount  string `json:"mount"`
	Target string `json:"target"`
}

// Through is the name below the mount of a clean absolute path; one that is below the mount already
// stays as it is.
func (v View) Through(path string) (string, error) {
	if Below(path, v.Mount) {
		return path, nil
	}
	if !Below(path, v.Target) {
		return "", launch.BadInput("%s is not below %s, which is what the mount shows", path, v.Target)
	}
	return v.Mount + "/" + strings.TrimPrefix(path[len(strings.TrimSuffix(v.Target, "/")):], "/"), nil
}

// Behind is the path that name, below the mount, shows.
func (v View) Behind(name string) (path string, ok bool) {
	if !Below(name, v.Mount) {
		return "", false
	}
	return filepath.Join(v.Target, name[len(v.Mount):]), true
}

// Below tells whether path is dir or within it; both are clean and absolute.
func Below(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
