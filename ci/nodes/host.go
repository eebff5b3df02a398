package nodes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one host of a network, or its front-end.
type Host struct {
	network *Network
	index   int // from 1; 0: the front-end
	name    string
	addr    string
	pid     int // of its first process, as the machine numbers it
}

// Name is the host's name: n1, n2, …, or ctl.
func (h *Host) Name() string { return h.name }

// Addr is its address at its first interface.
func (h *Host) Addr() string { return h.addr }

// Command is a command to be run on the host; name is looked up there. Env, standard streams and Dir are
// the caller's to set as always; a Dir that the host does not have is / there. Signals to the
// process are passed on, and if it is killed so is the command.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.network.Agent())
	cmd.Args = append([]string{enterName, strconv.Itoa(h.pid), name}, args...)
	return cmd
}

// run runs a command on the host; the error has what it said.
func (h *Host) run(stdin, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), upBound)
	defer cancel()
	cmd := h.Command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return runQuiet(cmd)
}

// MachinePID is the process that has number pid on the host, as the machine numbers it.
func (h *Host) MachinePID(pid int) (int, error) {
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", h.pid))
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if now, err := os.Readlink("/proc/" + e.Name() + "/ns/pid"); err != nil || now != ns {
			continue
		}
		status, _ := os.ReadFile("/proc/" + e.Name() + "/status")
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "NSpid:" && f[len(f)-1] == strconv.Itoa(pid) {
				return strconv.Atoi(e.Name())
			}
		}
	}
	return 0, fmt.Errorf("%s has no process %d", h.name, pid)
}

// Cut lets no packet to or from the host. Those on its other side are not told.
func (h *Host) Cut() error { return h.setPorts("down") }

// Heal takes Cut back.
func (h *Host) Heal() error { return h.setPorts("up") }

func (h *Host) setPorts(state string) error {
	if h.index == 0 {
		return errors.New("the front-end is where the switch is: it can't be cut off")
	}
	var batch strings.Builder
	for k := range h.network.interfaces {
		fmt.Fprintf(&batch, "link set %s %s\n", port(k, h.index), state)
	}
	return h.network.front.run(batch.String(), "ip", "-batch", "-")
}

// Crash ends the host as a power cut does: its peers get no word of it, then its first process
// is killed, and the kernel all others. It returns when they are gone.
func (h *Host) Crash() error {
	if h.network.shared {
		return errors.New("hosts with shared memory can't crash")
	}
	if err := h.Cut(); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(h.pid, 0)
	if err != nil {
		return fmt.Errorf("%s: process %d: %w", h.name, h.pid, err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("%s: process %d: %w", h.name, h.pid, err)
	}
	for end := time.Now().Add(downBound); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(end).Milliseconds()))
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("%s: %w", h.name, err)
		case n == 0:
			return fmt.Errorf("%s: its processes have not ended after %v", h.name, downBound)
		default:
			return nil
		}
	}
}

// ErrNoDelay says that this kernel can't delay packets.
var ErrNoDelay = errors.New("this kernel has no sch_netem: packets can be made few (bytes per second), but not late")

// Slow delays every packet from and to the host, and bounds its bytes per second in each direction.
// 0 is for no delay, no bound.
func (h *Host) Slow(delay time.Duration, bytesPerSecond int64) error {
	if h.index == 0 {
		return errors.New("the front-end is where the switch is: slow the others")
	}
	for k, name := range h.network.interfaces {
		if err := shape(h.network.front, port(k, h.index), delay, bytesPerSecond); err != nil {
			return err
		}
		if err := shape(h, name, delay, bytesPerSecond); err != nil {
			return err
		}
	}
	return nil
}

func shape(on *Host, device string, delay time.Duration, bytesPerSecond int64) error {
	if delay == 0 && bytesPerSecond == 0 {
		err := on.run("", "tc", "qdisc", "replace", "dev", device, "root", "pfifo")
		return err
	}
	args := []string{"qdisc", "replace", "dev", device, "root"}
	rate := strconv.FormatInt(bytesPerSecond, 10) + "bps"
	if delay == 0 {
		// A burst of 10 ms, and at least one packet as large as those that a veth carries.
		args = append(args, "tbf", "rate", rate, "burst", strconv.FormatInt(max(bytesPerSecond/100, 66<<10), 10), "latency", "100ms")
	} else {
		args = append(args, "netem", "delay", strconv.FormatInt(delay.Microseconds(), 10)+"us", "limit", "100000")
		if bytesPerSecond > 0 {
			args = append(args, "rate", rate)
		}
	}
	err := on.run("", "tc", args...)
	if err != nil && delay > 0 && strings.Contains(err.Error(), "unknown") {
		return ErrNoDelay
	}
	return err
}

// show makes path of the machine appear on the host.
func (h *Host) show(path string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(tree), path)
	defer file.Close()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	cmd := h.network.command(showName, strconv.Itoa(h.pid), path, strconv.FormatBool(info.IsDir()))
	cmd.ExtraFiles = []*os.File{file}
	return runQuiet(cmd)
}
