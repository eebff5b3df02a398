package fuse

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lookBound is how long a file system may take to show a mount point, in CheckMountpoint.
const lookBound = 10 * time.Second

// Reasons for which a mount can't be made: the user has to change something first. They come
// wrapped in a [SetupError].
var (
	ErrNoDevice        = errors.New("there is no /dev/fuse: the fuse kernel module is not loaded, or this container has no access to it")
	ErrDeviceRefused   = errors.New("/dev/fuse can't be opened for reading and writing")
	ErrNoFusermount    = errors.New("fusermount3 is not in PATH, and mounting without it takes root")
	ErrMountpointGone  = errors.New("the mount point does not exist")
	ErrMountpointType  = errors.New("the mount point is not a directory")
	ErrMountpointFull  = errors.New("the mount point is not empty")
	ErrMountpointTaken = errors.New("the mount point is a mount already")
	ErrMountpointInner = errors.New("the mount point lies within a Copper mount")
	ErrMountpointHung  = errors.New("the file system of the mount point does not answer")
	ErrMountpoint      = errors.New("the mount point can't be used")
)

// SetupError tells why a mount can't be made here: one of the Err values of this package and, where
// there is more to say, what the system said.
type SetupError struct {
	Path   string // mount point or device
	Reason error
	Cause  error // may be nil
}

func (e *SetupError) Error() string {
	text := e.Path + ": " + e.Reason.Error()
	if e.Cause != nil {
		text += " (" + e.Cause.Error() + ")"
	}
	return text
}

// Unwrap lets errors.Is see the reason and the cause.
func (e *SetupError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Cause}
}

// CheckMountpoint tells whether dir can be mounted upon: an existing empty directory that is
// neither a mount nor within a Copper mount. It asks the mount table before it touches anything,
// so a hung mount at dir does not hang it, and gives up after 10 s where the file system around
// dir hangs. The error is a [*SetupError].
func CheckMountpoint(dir string) error {
	_, err := resolveMountpoint(dir)
	return err
}

// resolveMountpoint checks dir and returns it as the mount table will name it.
func resolveMountpoint(dir string) (string, error) {
	return resolveWithin(dir, func(mounts mountTable) (string, error) {
		path, err := mounts.resolve(dir)
		if err == nil {
			err = mounts.checkFree(path)
		}
		return path, err
	})
}

// resolveReplaced does the same for a mount point at which there is a dead Copper mount. What lies
// beneath is not seen then, nor does it matter.
func resolveReplaced(dir string) (string, error) {
	return resolveWithin(dir, func(mounts mountTable) (string, error) { return mounts.resolve(dir) })
}

// resolveWithin gives look a bounded time.
func resolveWithin(dir string, look func(mountTable) (string, error)) (string, error) {
	if dir == "" {
		return "", &SetupError{Path: `""`, Reason: ErrMountpointGone}
	}
	mounts, err := readMounts()
	if err != nil {
		return "", &SetupError{Path: dir, Reason: ErrMountpoint, Cause: err}
	}
	type answer struct {
		path string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		path, err := look(mounts)
		answered <- answer{path, err}
	}()
	bound := time.NewTimer(lookBound)
	defer bound.Stop()
	select {
	case a := <-answered:
		return a.path, a.err
	case <-bound.C:
		return "", &SetupError{Path: dir, Reason: ErrMountpointHung}
	}
}

// resolve follows dir component by component and never touches a Copper mount, hung or not.
func (mounts mountTable) resolve(dir string) (string, error) {
	refuse := func(reason, cause error) (string, error) {
		return "", &SetupError{Path: dir, Reason: reason, Cause: cause}
	}
	path := dir
	if !filepath.IsAbs(path) {
		wd, err := syscall.Getwd() // os.Getwd would stat, which may hang
		if err != nil {
			return refuse(ErrMountpoint, err)
		}
		path = wd + "/" + path
	}
	resolved, rest, links := "/", strings.Split(path, "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		next := filepath.Join(resolved, name)
		if m, mounted := mounts.at(next); mounted {
			if m.fstype == FSType && !allEmpty(rest) {
				return refuse(ErrMountpointInner, nil)
			}
			resolved = next // the root of a mount is a directory
			continue
		}
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return refuse(ErrMountpointGone, nil)
		case errors.Is(err, syscall.ENOTDIR):
			return refuse(ErrMountpointType, nil)
		case err != nil:
			return refuse(ErrMountpoint, err)
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > 40 {
				return refuse(ErrMountpoint, syscall.ELOOP)
			}
			target, err := os.Readlink(next)
			if err != nil {
				return refuse(ErrMountpoint, err)
			}
			if filepath.IsAbs(target) {
				resolved = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		case !info.IsDir():
			return refuse(ErrMountpointType, nil)
		default:
			resolved = next
		}
	}
	return resolved, nil
}

// checkFree tells whether path, from resolve, is an empty directory and no mount.
func (mounts mountTable) checkFree(path string) error {
	if m, mounted := mounts.at(path); mounted {
		return &SetupError{Path: path, Reason: ErrMountpointTaken, Cause: errors.New("type " + m.fstype)}
	}
	return checkEmpty(path)
}

func allEmpty(names []string) bool {
	for _, n := range names {
		if n != "" && n != "." {
			return false
		}
	}
	return true
}

func checkEmpty(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return &SetupError{Path: dir, Reason: ErrMountpoint, Cause: err}
	}
	defer d.Close()
	switch _, err := d.Readdirnames(1); {
	case err == nil:
		return &SetupError{Path: dir, Reason: ErrMountpointFull}
	case !errors.Is(err, io.EOF):
		return &SetupError{Path: dir, Reason: ErrMountpoint, Cause: err}
	}
	return nil
}
