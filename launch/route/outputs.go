package route

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

// temporary are directories in which nothing but temporary files is.
var temporary = []string{"/tmp", "/var/tmp", "/dev/shm", "/run"}

// scratch are the variables by which sites name such directories.
var scratch = []string{"TMPDIR", "SCRATCH", "PSCRATCH", "LOCAL_SCRATCH", "MEMBERWORK", "PROJWORK", "WORLDWORK"}

// outputs are words by which people name what is written.
var outputs = map[string]bool{
	"out": true, "output": true, "outputs": true, "result": true, "results": true, "checkpoint": true, "checkpoints": true,
	"ckpt": true, "ckpts": true, "scratch": true, "tmp": true, "temp": true, "logs": true, "copper-logs": true,
}

// checkOutput refuses a directory that is surely one for outputs as a whole.
func (r Router) checkOutput(path string) error {
	const advice = "outputs, checkpoints and temporary files never go through the mount, which is read-only: name what is read in it"
	for _, dir := range temporary {
		if path == dir {
			return launch.BadInput("%s is for temporary files: %s", path, advice)
		}
	}
	for _, name := range scratch {
		if dir := r.Getenv(name); filepath.IsAbs(dir) && path == filepath.Clean(dir) {
			return launch.BadInput("%s is $%s, for outputs and temporary files: %s", path, name, advice)
		}
	}
	return nil
}

// judgeOutput warns of a path that may be an output.
func (r Router) judgeOutput(p *Plan, path string) {
	const advice = "never outputs, checkpoints, scratch or temporary directories: through the mount every write fails with EROFS"
	if info, err := os.Stat(path); err == nil && info.IsDir() && info.Mode()&os.ModeSticky != 0 && info.Mode().Perm()&0o002 != 0 {
		p.warn(6, path, "can be written to by everybody, as directories for temporary files are", advice)
		return
	}
	for _, name := range scratch {
		if dir := r.Getenv(name); filepath.IsAbs(dir) && Below(path, filepath.Clean(dir)) {
			p.warn(6, path, "is below $"+name, advice)
			return
		}
	}
	_, _, point := r.Places.Of(path)
	for dir := path; dir != point && dir != "/"; dir = filepath.Dir(dir) { // a whole file system may be called scratch
		if name := filepath.Base(dir); outputs[strings.ToLower(name)] {
			p.warn(6, path, "looks by its name ("+name+") like a place for outputs", advice)
			return
		}
	}
}
