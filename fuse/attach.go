package fuse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// FSName is the source of the mount in the mount table.
	FSName = "copper"
	// FSType is the type of the mount in the mount table.
	FSType = "fuse.copper"

	// maxRequest is the size of the largest READ, in bytes.
	maxRequest = 1 << 20

	// fusermountBound is how long fusermount3 may take.
	fusermountBound = 20 * time.Second
)

// CheckDevice tells whether this process can make FUSE mounts: /dev/fuse, and fusermount3 where
// it is not root. The error is a [*SetupError].
func CheckDevice() error {
	fd, err := openDevice()
	if err != nil {
		return err
	}
	syscall.Close(fd)
	if os.Geteuid() != 0 {
		_, err = Fusermount()
	}
	return err
}

func openDevice() (int, error) {
	const device = "/dev/fuse"
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return -1, &SetupError{Path: device, Reason: ErrNoDevice}
	case err != nil:
		return -1, &SetupError{Path: device, Reason: ErrDeviceRefused, Cause: err}
	}
	return fd, nil
}

// Fusermount is the path of the helper that mounts for ordinary users. The error is a [*SetupError].
func Fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "/usr/bin/fusermount3", "/bin/fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", &SetupError{Path: "fusermount3", Reason: ErrNoFusermount}
}

// attach mounts at dir, a path from resolveMountpoint, and returns the connection: by mount(2)
// where this process may, else by fusermount3.
func attach(dir string) (int, error) {
	if os.Geteuid() == 0 {
		fd, err := attachDirectly(dir)
		if !errors.Is(err, syscall.EPERM) {
			return fd, err
		}
	}
	return attachByHelper(dir)
}

func attachDirectly(dir string) (int, error) {
	fd, err := openDevice()
	if err != nil {
		return -1, err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,default_permissions,max_read=%d",
		fd, os.Geteuid(), os.Getegid(), maxRequest)
	err = syscall.Mount(FSName, dir, FSType, syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV, options)
	if err != nil {
		syscall.Close(fd)
		return -1, &SetupError{Path: dir, Reason: ErrMountpoint, Cause: fmt.Errorf("mount: %w", err)}
	}
	return fd, nil
}

// attachByHelper lets fusermount3, which is setuid root, mount and pass the connection back.
func attachByHelper(dir string) (int, error) {
	binary, err := Fusermount()
	if err != nil {
		return -1, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socketpair for fusermount3: %w", err)
	}
	defer syscall.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount3")
	defer theirs.Close()

	options := fmt.Sprintf("ro,nosuid,nodev,default_permissions,fsname=%s,subtype=%s,max_read=%d",
		FSName, strings.TrimPrefix(FSType, "fuse."), maxRequest)
	if err := runFusermount(theirs, binary, "-o", options, "--", dir); err != nil {
		return -1, &SetupError{Path: dir, Reason: ErrMountpoint, Cause: err}
	}
	return receive(pair[0])
}

// runFusermount runs it with an upper bound, and turns what it complained of into the error.
func runFusermount(socket *os.File, binary string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), fusermountBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.WaitDelay = time.Second
	if socket != nil {
		cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
		cmd.ExtraFiles = []*os.File{socket}
	}
	said, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if text := string(bytes.TrimSpace(said)); text != "" {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", binary, err)
}

// receive takes a file descriptor from a socket. The sender has ended, so it never waits.
func receive(socket int) (int, error) {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, data, control, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return -1, fmt.Errorf("receive the connection from fusermount3: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("fusermount3 passed no connection")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("fusermount3 passed no connection")
	}
	return fds[0], nil
}
