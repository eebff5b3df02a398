package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ControlBases are the directories of a node under which control directories may lie. The first
// does not depend on the environment, which differs between a job step and a login; the second
// helps where somebody else holds the first.
func ControlBases() []string {
	bases := []string{fmt.Sprintf("/tmp/copper-%d", os.Getuid())}
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		bases = append(bases, filepath.Join(run, "copper"))
	}
	return bases
}

// checkPrivate reports why dir is not a directory that only this user can enter.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	switch st, ok := info.Sys().(*syscall.Stat_t); {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(st.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm() != 0o700:
		return fmt.Errorf("%s has mode %#o, not 0700", dir, info.Mode().Perm())
	}
	return nil
}

// inControlDir runs f on the control directory of job id under base, which is made if it is
// missing, while no other process changes what is under base.
func inControlDir(base, id string, f func(dir string) error) error {
	for {
		if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := checkPrivate(base); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := locked(base, func() error {
			dir := filepath.Join(base, id)
			if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := checkPrivate(dir); err != nil {
				return err
			}
			return f(dir)
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

// controlDirs are the control directories of job id on this node ("" for those of all jobs) that
// are ours alone.
func controlDirs(bases []string, id string) []string {
	var dirs []string
	for _, base := range bases {
		if checkPrivate(base) != nil {
			continue
		}
		names, _ := os.ReadDir(base)
		for _, name := range names {
			dir := filepath.Join(base, name.Name())
			if (id == "" || name.Name() == id) && checkPrivate(dir) == nil {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// filesIn are the paths of the files directly in dir whose names end with suffix, by name; none if there is no such
// directory. It is no filepath.Glob: the ids of PBS's array jobs, 12[7], are patterns to that.
func filesIn(dir, suffix string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

const lockBound = 5 * time.Second

// errMoved: the directory to be locked was removed by the one who had the lock before.
var errMoved = errors.New("directory was removed")

// locked runs f while no other process changes what is directly under base.
func locked(base string, f func() error) error {
	dir, err := os.Open(base)
	if errors.Is(err, fs.ErrNotExist) {
		return errMoved
	}
	if err != nil {
		return err
	}
	defer dir.Close() // releases the lock
	for end := time.Now().Add(lockBound); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return fmt.Errorf("lock %s: %w", base, err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("lock %s: held by another process for %v", base, lockBound)
		}
	}
	mine, err := dir.Stat()
	if err != nil {
		return err
	}
	if now, err := os.Lstat(base); err != nil || !os.SameFile(mine, now) {
		return errMoved
	}
	return f()
}

// removeEmpty removes a control directory that holds nothing any more, and the directory above it
// if it was the last one. Called with that locked.
func removeEmpty(dir string) {
	if os.Remove(dir) == nil {
		_ = os.Remove(filepath.Dir(dir))
	}
}
