package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mounts is how this package deals with mounts that exist.
type Mounts struct {
	// Type is the type of the uppermost file system mounted at point, "" if none is.
	Type func(point string) (string, error)
	// Probe asks the mount: nil if it answers, [ErrDead] if its daemon is gone.
	Probe func(ctx context.Context, point string) error
	// Unmount takes the mount away lazily.
	Unmount func(ctx context.Context, point string) error
}

// NodeMounts are the mounts of this node; program is the copper binary, which probes them.
func NodeMounts(program string) Mounts {
	return Mounts{
		Type:    mountedAt,
		Probe:   func(ctx context.Context, point string) error { return Probe(ctx, program, point, false) },
		Unmount: lazyUnmount,
	}
}

// mostStacked bounds how many mounts at one place are taken away.
const mostStacked = 32

// clearStale unmounts what dead daemons left at point, one over the other, and tells whether there
// was anything. A mount that answers stays, and that is no error.
func (m Mounts) clearStale(ctx context.Context, point string) (did bool, err error) {
	if point == "" {
		return false, nil
	}
	for range mostStacked {
		fstype, failed := m.Type(point)
		if failed != nil || fstype != FSType {
			return did, failed // nil: it is gone, whoever took it away
		}
		if failed := m.Probe(ctx, point); !errors.Is(failed, ErrDead) {
			return did, failed
		}
		if err = m.Unmount(ctx, point); err == nil {
			did = true
		}
	}
	if err == nil {
		err = fmt.Errorf("%s: more than %d dead mounts lie one over the other", point, mostStacked)
	}
	return did, err
}

// ClearMountpoint makes point free: dead Copper mounts are taken away. A live one is an error that
// names its job if one of bases tells it.
func (m Mounts) ClearMountpoint(ctx context.Context, bases []string, point string) (did bool, err error) {
	did, err = m.clearStale(ctx, point)
	if err != nil {
		return did, err
	}
	if fstype, err := m.Type(point); err != nil || fstype != FSType {
		return did, err
	}
	for _, f := range footprints(bases, "") {
		if realMountpoint(f.Mount) == realMountpoint(point) && f.alive() {
			return did, BadInput("mount point %s is in use by job %s (rank %d, process %d): stop that, or choose another with -v",
				point, f.Job, f.Rank, f.PID)
		}
	}
	return did, BadInput("mount point %s is in use by another Copper daemon: stop that, or choose another with -v", point)
}

const unmountBound = 10 * time.Second

// lazyUnmount detaches the mount now and lets the kernel end it when nobody uses it any more.
func lazyUnmount(ctx context.Context, point string) error {
	if os.Geteuid() == 0 {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, unmountBound)
	defer cancel()
	out, err := exec.CommandContext(ctx, "fusermount3", "-u", "-z", "--", point).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unmount %s: %s: %w", point, strings.TrimSpace(string(out)), err)
	}
	return nil
}

// MissingDirs are point and the directories above it that do not exist, outermost first.
func MissingDirs(point string) []string {
	var missing []string
	for dir := filepath.Clean(point); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing
}

// MakeDirs makes directories, 0700, unless another rank was faster.
func MakeDirs(dirs []string) error {
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return BadInput("mount point: %w", err)
		}
	}
	return nil
}
