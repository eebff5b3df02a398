package launch

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// mostShutters bounds the names that are shut; the root of a view rarely has more.
const mostShutters = 4096

// Shut readies dir, the directory beneath a mount, for a moment in which nothing is mounted there: each
// of names becomes a symbolic link to itself. Who walks through one gets ELOOP, an error, and is not
// told that a file which exists does not. It does what it can; [OpenShutters] takes the links out.
func Shut(dir *os.File, names []string) {
	for _, name := range names[:min(len(names), mostShutters)] {
		_ = unix.Symlinkat(name, int(dir.Fd()), name)
	}
}

// OpenShutters takes out of dir what [Shut] put there, unless there is something else in it.
func OpenShutters(dir *os.File) {
	// "." is the directory itself, whatever is mounted upon it.
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	own := os.NewFile(uintptr(fd), dir.Name())
	defer own.Close()
	names, err := own.Readdirnames(mostShutters + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return
	}
	for _, name := range names {
		if !isShutter(fd, name) {
			return
		}
	}
	for _, name := range names {
		_ = unix.Unlinkat(fd, name, 0)
	}
}

func isShutter(dir int, name string) bool {
	link := make([]byte, len(name)+1)
	n, err := unix.Readlinkat(dir, name, link)
	return err == nil && string(link[:n]) == name
}

// openShuttersAt is [OpenShutters] for a directory upon which nothing is mounted.
func openShuttersAt(point string) {
	if dir, err := os.Open(point); err == nil {
		OpenShutters(dir)
		dir.Close()
	}
}

// OpenMountpoint opens the directory at point, upon which nothing is mounted yet, to be reached when
// something is, and takes out of it what a killed daemon may have left there.
func OpenMountpoint(point string) (*os.File, error) {
	dir, err := os.Open(point)
	if err != nil {
		return nil, BadInput("mount point: %w", err)
	}
	OpenShutters(dir)
	return dir, nil
}
