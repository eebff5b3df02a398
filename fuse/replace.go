package fuse

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// moveMountBeneath is MOVE_MOUNT_BENEATH of linux/mount.h, since Linux 6.5.
	moveMountBeneath = 0x200

	// mostStacked bounds how many dead mounts, one over the other, are replaced.
	mostStacked = 32
)

// replace mounts at dir in the place of the Copper mount there, which nobody serves, and returns
// the connection. Where the kernel and this process's rights allow, the new mount comes beneath the
// old one before that goes, so that at every moment there is one of the two: an error first, then
// answers. fusermount3 can't do that, nor mount upon a FUSE mount, at which it may not look as root.
func (o *Options) replace(dir string) (int, error) {
	mounts, err := readMounts()
	if err != nil {
		return -1, err
	}
	here, mounted := mounts.at(dir)
	if !mounted {
		return attach(dir)
	}
	if here.fstype == FSType && os.Geteuid() == 0 {
		if fd, err := attachBeneath(dir); err == nil {
			return fd, nil
		}
	}
	return o.replaceInStages(dir)
}

// replaceInStages takes all dead mounts away, then mounts.
func (o *Options) replaceInStages(dir string) (int, error) {
	if o.Shut != nil {
		defer o.Shut()()
	}
	for range mostStacked {
		mounts, err := readMounts()
		if err != nil {
			return -1, err
		}
		switch here, mounted := mounts.at(dir); {
		case !mounted:
			return attach(dir)
		case here.fstype != FSType:
			return -1, &SetupError{Path: dir, Reason: ErrMountpointTaken, Cause: errors.New("type " + here.fstype)}
		}
		if err := detach(dir, lazily); err != nil {
			return -1, &SetupError{Path: dir, Reason: ErrMountpoint, Cause: fmt.Errorf("take a dead mount away: %w", err)}
		}
	}
	return -1, &SetupError{Path: dir, Reason: ErrMountpointTaken, Cause: fmt.Errorf("more than %d Copper mounts lie one over the other", mostStacked)}
}

// attachBeneath mounts beneath the uppermost mount at dir, then takes that away. Nothing is left
// of it after an error.
func attachBeneath(dir string) (int, error) {
	fd, err := openDevice()
	if err != nil {
		return -1, err
	}
	mount, err := detached(fd)
	if err == nil {
		err = unix.MoveMount(mount, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH|moveMountBeneath)
		unix.Close(mount)
	}
	if err == nil {
		err = detach(dir, lazily)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// detached makes a mount of the connection fd that is nowhere yet.
func detached(fd int) (int, error) {
	context, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(context)
	for _, option := range []struct{ name, value string }{
		{"source", FSName},
		{"subtype", FSName},
		{"fd", strconv.Itoa(fd)},
		{"rootmode", "40000"},
		{"user_id", strconv.Itoa(os.Geteuid())},
		{"group_id", strconv.Itoa(os.Getegid())},
		{"max_read", strconv.Itoa(maxRequest)},
	} {
		if err := unix.FsconfigSetString(context, option.name, option.value); err != nil {
			return -1, err
		}
	}
	for _, flag := range []string{"default_permissions", "ro"} {
		if err := unix.FsconfigSetFlag(context, flag); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, err
	}
	return unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
}
