package launch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// AbortMount makes the kernel end all requests to the Copper mount at point, those included whose
// callers can't be killed while they wait. It does what it can: the right to it may be missing.
func AbortMount(point string) {
	e, err := entryAt(point)
	if err != nil || e.fstype != FSType {
		return
	}
	abort := filepath.Join(e.minor, "abort")
	if err := os.WriteFile(filepath.Join("/sys/fs/fuse/connections", abort), []byte("1"), 0); err == nil {
		return
	}
	if control, err := fuseControl(); err == nil {
		defer unix.Close(control)
		if fd, err := unix.Openat(control, abort, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			_, _ = unix.Write(fd, []byte("1"))
			unix.Close(fd)
		}
	}
}

// fuseControl is what /sys/fs/fuse/connections shows, for root on a machine where nobody has mounted it
// there. It is mounted nowhere: whoever holds the descriptor sees it.
func fuseControl() (int, error) {
	context, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(context)
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, err
	}
	return unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
}

// DropMount takes the Copper mounts at point away, of which the caller knows that nobody serves
// them.
func DropMount(ctx context.Context, point string) error {
	for range mostStacked {
		fstype, err := mountedAt(point)
		if err != nil || fstype != FSType {
			return err
		}
		AbortMount(point)
		if err := lazyUnmount(ctx, point); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: more than %d Copper mounts lie one over the other", point, mostStacked)
}
