package nodes

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// A first process reads its orders from file 3 and reports on file 4. When file 3 ends, so does it.
const (
	ordersFile  = 3
	reportsFile = 4
)

// ordered reads the plan that a first process gets.
func ordered(plan any) (orders *bufio.Reader, reports *os.File, err error) {
	orders = bufio.NewReader(os.NewFile(ordersFile, "orders"))
	reports = os.NewFile(reportsFile, "reports")
	syscall.CloseOnExec(ordersFile)
	syscall.CloseOnExec(reportsFile)
	line, err := orders.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, plan)
	}
	return orders, reports, err
}

// front is the first process of the front-end: it makes the network, starts the hosts, and ends them
// all when the test process is gone.
func front() error {
	var p plan
	orders, reports, err := ordered(&p)
	if err != nil {
		return err
	}
	made, err := makeNetwork(p)
	if err != nil {
		made.Error = err.Error()
	}
	if err := json.NewEncoder(reports).Encode(made); err != nil {
		return err
	}
	_ = reports.Close()
	go reap()
	_, _ = io.Copy(io.Discard, orders) // until the other end is closed, by whatever
	_ = removeOwn(p.Dir)               // in case nobody is left who would
	return nil
}

func makeNetwork(p plan) (made pids, err error) {
	if made.Front, err = machinePID(); err != nil {
		return made, err
	}
	// What others mount goes its way to here, nothing goes from here to them.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return made, fmt.Errorf("mount propagation: %w", err)
	}
	if err := letGo(); err != nil {
		return made, err
	}
	var batch strings.Builder
	fmt.Fprintln(&batch, "link set lo up")
	for k, name := range p.Interfaces {
		fmt.Fprintf(&batch, "link add %s type bridge\nlink set %s up\naddr add %s/24 dev %s\n", name, name, frontAddress(k), name)
	}
	if err := ip(batch.String()); err != nil {
		return made, err
	}
	for i := 1; i <= p.Hosts; i++ {
		pid, err := startHost(p, i)
		if err != nil {
			return made, fmt.Errorf("%s: %w", hostName(i), err)
		}
		made.Hosts = append(made.Hosts, pid)
	}
	return made, furnish(p, frontHost)
}

// own are the directories that each host has for itself.
var own = []string{"/tmp", "/dev/shm"}

// letGo unmounts here what may be another test's, which would not be quite unmounted there while it is
// mounted here: what is in directories that will be covered, and FUSE mounts anywhere.
func letGo() error {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		for _, dir := range own {
			if strings.HasPrefix(m.Mountpoint, dir+"/") {
				return false, false
			}
		}
		return m.FSType != "fuse" && !strings.HasPrefix(m.FSType, "fuse."), false
	})
	if err != nil {
		return err
	}
	for _, m := range mounts {
		_ = unix.Unmount(m.Mountpoint, unix.MNT_DETACH) // or it was below one that is gone now
	}
	return nil
}

// machinePID is this process as the machine numbers it, while its /proc is still there.
func machinePID() (int, error) {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(self)
}

// port is the switch's end of host i's interface k.
func port(k, i int) string { return fmt.Sprintf("port%d.%d", k, i) }

// startHost starts host i and connects it; it returns its first process, as the machine numbers it.
func startHost(p plan, i int) (pid int, err error) {
	orders, order, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	report, reports, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := command(firstName, p.Program)
	cmd.ExtraFiles = []*os.File{orders, reports}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	apart := uintptr(namespaces)
	if p.SharedMemory {
		apart &^= syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: apart, Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, _ = orders.Close(), reports.Close()
	defer report.Close()
	var batch strings.Builder
	for k, name := range p.Interfaces {
		fmt.Fprintf(&batch, "link add %s type veth peer name %s netns %d\n", port(k, i), name, cmd.Process.Pid)
		fmt.Fprintf(&batch, "link set %s master %s up\n", port(k, i), name)
	}
	if err := ip(batch.String()); err != nil {
		return 0, err
	}
	// Its end stays open for as long as this process lives.
	if err := json.NewEncoder(order).Encode(hostPlan{Plan: p, Host: i}); err != nil {
		return 0, err
	}
	var made pids
	if err := json.NewDecoder(report).Decode(&made); err != nil {
		return 0, err
	}
	if made.Error != "" {
		return 0, errors.New(made.Error)
	}
	lives = append(lives, order)
	return made.Front, nil
}

// lives are the hosts' orders, to be held open: the garbage collector closes files that nobody has.
var lives []*os.File

// hostPlan is what the first process of a host has to know.
type hostPlan struct {
	Plan plan
	Host int
}

// host is the first process of a host. What it starts is its children or adopted by it.
func host() error {
	var h hostPlan
	orders, reports, err := ordered(&h)
	if err != nil {
		return err
	}
	var made pids
	made.Front, err = machinePID()
	if err == nil {
		err = makeHost(h)
	}
	if err != nil {
		made.Error = err.Error()
	}
	if err := json.NewEncoder(reports).Encode(made); err != nil {
		return err
	}
	_ = reports.Close()
	go reap()
	_, _ = io.Copy(io.Discard, orders)
	return nil
}

func makeHost(h hostPlan) error {
	var batch strings.Builder
	fmt.Fprintln(&batch, "link set lo up")
	for k, name := range h.Plan.Interfaces {
		fmt.Fprintf(&batch, "addr add %s/24 dev %s\nlink set %s up\n", address(k, h.Host), name, name)
	}
	if err := ip(batch.String()); err != nil {
		return err
	}
	if err := furnish(h.Plan, hostName(h.Host)); err != nil {
		return err
	}
	return startRshd(h.Plan)
}

// furnish gives this process's namespaces a name and their own mounts.
func furnish(p plan, name string) error {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return err
	}
	for _, m := range []struct{ source, target, fstype, data string }{
		{hostsFile(p.Dir), "/etc/hosts", "", ""},
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""}, // shows the interfaces of this network namespace
		{"cgroup", "/sys/fs/cgroup", "tmpfs", ""},
		{"fusectl", "/sys/fs/fuse/connections", "fusectl", ""},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777"},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"},
	} {
		if p.SharedMemory && m.target == "/dev/shm" {
			continue
		}
		var flags uintptr
		if m.fstype == "" {
			flags = unix.MS_BIND
		}
		err := unix.Mount(m.source, m.target, m.fstype, flags, m.data)
		if m.fstype == "fusectl" && errors.Is(err, os.ErrNotExist) {
			continue // FUSE is a module that is not loaded
		}
		if err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// reap waits for every process that was left to this one.
func reap() {
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(-1, &status, 0, nil); errors.Is(err, syscall.ECHILD) {
			// None now; the next one is announced, but asking is simpler.
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 20e6}, nil)
		}
	}
}

func ip(batch string) error {
	path, err := lookPath("ip")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "-batch", "-")
	cmd.Stdin = strings.NewReader(batch)
	cmd.Dir = filepath.Dir(path)
	return runQuiet(cmd)
}
