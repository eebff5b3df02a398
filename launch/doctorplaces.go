package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const scantSpace = 64 << 20 // bytes: logs, tables and profiles may not fit any more

// CheckPlaces looks at the directories that Copper writes to, which are the user's own.
func (d Doctor) CheckPlaces() []Finding {
	findings := []Finding{outputs(d.Finder.Base), control(d.Finder.Bases)}
	if err := CheckUserDir(DefaultMount(false)); err != nil {
		findings = append(findings, problem("choose another mount point with -v", "mount point: %v", err))
	}
	return findings
}

// outputs tells whether jobs can write below base, which is made when it is missing.
func outputs(base string) Finding {
	const advice = "choose another directory with -d or COPPER_DIR"
	dir := base
	for {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return problem(advice, "outputs: %v", err)
		}
		if !info.IsDir() {
			return problem(advice, "outputs: %s is not a directory", dir)
		}
		break
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return problem(advice, "outputs: nothing can be written in %s: %v", dir, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return problem(advice, "outputs: %s: %v", dir, err)
	}
	if free := int64(st.Bavail) * st.Bsize; st.Blocks > 0 && free < scantSpace {
		return warning(advice+", or make room", "outputs: the file system of %s has only %s left", dir, Bytes(free))
	}
	if dir != base {
		return fine("outputs go to %s, which will be made", base)
	}
	return fine("outputs go to %s", base)
}

// control tells whether one of bases can hold control directories.
func control(bases []string) Finding {
	var failed error
	for _, base := range bases {
		err := checkPrivate(base)
		if errors.Is(err, fs.ErrNotExist) {
			err = unix.Access(filepath.Dir(base), unix.W_OK|unix.X_OK)
		}
		if err == nil && failed == nil {
			return fine("control sockets lie in %s", base)
		}
		if err == nil {
			return warning("Copper uses the other", "%v; control sockets lie in %s", failed, base)
		}
		failed = errors.Join(failed, err)
	}
	return problem("rename or chmod 0700 what is yours; if it is somebody else's, set XDG_RUNTIME_DIR to a directory of your own", "control sockets: %v", failed)
}
