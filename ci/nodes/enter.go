package nodes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// enter runs a command in the namespaces of another process: PID COMMAND [ARGUMENT...].
func enter() error {
	if len(os.Args) < 3 {
		return errors.New("want PID COMMAND [ARGUMENT]")
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	if err := join(os.Args[1]); err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = "/" // the host has no such directory
	}
	path, err := lookPath(os.Args[2])
	if err != nil {
		return err
	}
	// The command dies with this thread, which is locked and lasts as long as the process. Go's own
	// Pdeathsig is confused by a parent that is not in the child's pid namespace.
	cmd := exec.Command("setpriv", append([]string{"--pdeathsig", "KILL", "--", path}, os.Args[3:]...)...)
	cmd.Dir, cmd.Env = dir, os.Environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return exitStatus(exit.ExitCode())
	}
	// End as it did.
	signal.Reset(status.Signal())
	_ = syscall.Kill(os.Getpid(), status.Signal())
	return exitStatus(128 + int(status.Signal()))
}

// join takes this thread, and what it starts, into the namespaces of process pid.
func join(pid string) error {
	runtime.LockOSThread()
	if _, err := strconv.Atoi(pid); err != nil {
		return err
	}
	names := []string{"ipc", "uts", "net", "pid", "mnt"}
	var files []*os.File
	for _, name := range names {
		f, err := os.Open(filepath.Join("/proc", pid, "ns", name))
		if err != nil {
			return fmt.Errorf("the host is gone: %w", err)
		}
		defer f.Close()
		files = append(files, f)
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // or the mounts could not be changed for one thread
		return err
	}
	for i, f := range files {
		if err := unix.Setns(int(f.Fd()), 0); err != nil {
			return fmt.Errorf("enter %s namespace: %w", names[i], err)
		}
	}
	return nil
}

// showHere mounts the tree in file 3 in the namespaces of another process: PID PATH ISDIR.
func showHere() error {
	const tree = 3
	if len(os.Args) != 4 {
		return errors.New("want PID PATH ISDIR")
	}
	path := os.Args[2]
	if err := join(os.Args[1]); err != nil {
		return err
	}
	dir := path
	if os.Args[3] != "true" {
		dir = filepath.Dir(path)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if dir != path {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return err
		}
		_ = f.Close()
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
