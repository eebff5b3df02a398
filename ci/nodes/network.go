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
	"strings"
	"syscall"
	"time"
)

// MaxHosts is how many hosts a network can have.
const MaxHosts = 250

const (
	upBound   = time.Minute
	downBound = 30 * time.Second
)

// Network is a front-end and hosts that reach each other.
type Network struct {
	dir        string
	interfaces []string
	shared     bool // see WithSharedMemory
	front      *Host
	hosts      []*Host

	init   *exec.Cmd
	life   *os.File      // the front-end's first process ends when this is closed
	ended  chan struct{} // closed when it and every process of the hosts are gone
	stderr *os.File
}

// Option changes what [Up] makes.
type Option func(*plan)

// WithInterfaces gives every host these network interfaces, each to a switch of its own with a
// subnet of its own, in the place of eth0. A host's name stands for its address at the first.
func WithInterfaces(names ...string) Option {
	return func(p *plan) { p.Interfaces = names }
}

// WithSharedMemory leaves process ids, IPC and /dev/shm to all hosts together, as though they were one in
// that: for an MPI that reaches other hosts only by a network library that is of no use here (Debian's
// MPICH: the UCX in it deadlocks in MPI_Finalize more often than not). Such a host can't crash.
func WithSharedMemory() Option {
	return func(p *plan) { p.SharedMemory = true }
}

// plan is what the first process of the front-end has to know. It is also made known to hosts.
type plan struct {
	Dir        string
	Program    string // this program, started again for the first processes
	Hosts      int
	Interfaces []string

	SharedMemory bool
}

// pids are the first processes of the front-end and of the hosts, as the machine numbers them.
type pids struct {
	Front int
	Hosts []int
	Error string // instead of them
}

// Check reports why networks can't be made on this machine.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("making hosts of namespaces needs root")
	}
	if _, err := lookPath("ip"); err != nil {
		return fmt.Errorf("%w (Debian: apt-get install iproute2)", err)
	}
	return nil
}

// Up makes a network of n hosts, n1 to n<n>.
func Up(n int, options ...Option) (*Network, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	if n < 1 || n > MaxHosts {
		return nil, fmt.Errorf("%d hosts: want 1 to %d", n, MaxHosts)
	}
	p := plan{Hosts: n, Interfaces: []string{"eth0"}}
	for _, o := range options {
		o(&p)
	}
	// Not below /tmp, of which each host has its own.
	dir, err := os.MkdirTemp("/var/tmp", "copper-nodes-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	p.Dir, p.Program = dir, filepath.Join(dir, agentName)
	net := &Network{dir: dir, interfaces: p.Interfaces, shared: p.SharedMemory, ended: make(chan struct{})}
	if err := net.start(p); err != nil {
		return nil, errors.Join(err, net.Down())
	}
	return net, nil
}

// start starts the front-end's first process, which starts the hosts'.
func (n *Network) start(p plan) error {
	if err := copyProgram(p.Program); err != nil {
		return err
	}
	if err := writeHostsFile(p); err != nil {
		return err
	}
	input, err := json.Marshal(p)
	if err != nil {
		return err
	}
	orders, life, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orders.Close()
	n.life = life
	report, reports, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	cmd := command(frontName, p.Program)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{orders, reports}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Setsid: true}
	said, err := os.CreateTemp("", "copper-nodes-said-")
	if err != nil {
		return err
	}
	_ = os.Remove(said.Name())
	n.stderr, cmd.Stdout, cmd.Stderr = said, said, said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in new namespaces: %w", err)
	}
	_ = reports.Close()
	n.init = cmd
	go func() {
		_ = cmd.Wait() // killed by us, or by someone: it is gone
		close(n.ended)
	}()
	if _, err := life.Write(append(input, '\n')); err != nil {
		return fmt.Errorf("front-end: %w%s", err, n.said())
	}
	_ = report.SetReadDeadline(time.Now().Add(upBound))
	var made pids
	line, err := bufio.NewReader(report).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &made)
	}
	if err == nil && made.Error != "" {
		err = errors.New(made.Error)
	}
	if err != nil {
		return fmt.Errorf("front-end: %w%s", err, n.said())
	}
	n.front = &Host{network: n, name: frontHost, addr: frontAddress(0), pid: made.Front}
	for i, pid := range made.Hosts {
		n.hosts = append(n.hosts, &Host{network: n, index: i + 1, name: hostName(i + 1), addr: address(0, i+1), pid: pid})
	}
	return nil
}

// said is what the first processes printed, to be put after an error.
func (n *Network) said() string {
	text, _ := io.ReadAll(io.NewSectionReader(n.stderr, 0, 1<<20))
	if len(text) == 0 {
		return ""
	}
	return ":\n" + strings.TrimSpace(string(text))
}

// Front is the front-end, ctl: a login node, where no daemon runs.
func (n *Network) Front() *Host { return n.front }

// Hosts are n1, n2, ….
func (n *Network) Hosts() []*Host { return n.hosts }

// Dir is a directory that every host sees under this name. It goes with the network.
func (n *Network) Dir() string { return n.dir }

// Agent is a program that runs a command on a host, as ssh does, from any host to any other and over
// their network: for mpirun's plm_rsh_agent, and for hydra's -launcher ssh -launcher-exec.
func (n *Network) Agent() string { return filepath.Join(n.dir, agentName) }

// Down ends all processes of the network and leaves nothing of it. It is safe to be called twice.
func (n *Network) Down() error {
	if n.life != nil {
		_ = n.life.Close()
		n.life = nil
	}
	if n.init != nil {
		select {
		case <-n.ended:
		case <-time.After(downBound):
			_ = n.init.Process.Kill()
			return fmt.Errorf("the processes of the network in %s have not ended after %v: is one waiting for a file system?%s", n.dir, downBound, n.said())
		}
	}
	if n.stderr != nil {
		_ = n.stderr.Close()
		n.stderr = nil
	}
	return removeOwn(n.dir)
}

// Show makes files or directories of the machine seen on all hosts under the same names, with what
// is mounted below them now: those below /tmp and /dev/shm, which hosts do not see otherwise, and
// mount points that are newer than the network.
func (n *Network) Show(paths ...string) error {
	for _, h := range append([]*Host{n.front}, n.hosts...) {
		for _, path := range paths {
			if err := h.show(path); err != nil {
				return fmt.Errorf("show %s on %s: %w", path, h.name, err)
			}
		}
	}
	return nil
}

// copyProgram makes this very program appear at path.
func copyProgram(path string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	if os.Link(own, path) == nil {
		return nil
	}
	from, err := os.Open(own)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// removeOwn removes dir, but nothing of another file system: something may be mounted below.
func removeOwn(dir string) error {
	var top, now syscall.Stat_t
	if err := syscall.Lstat(dir, &top); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := syscall.Lstat(path, &now); err != nil {
			return &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		switch {
		case now.Dev != top.Dev:
			err = fmt.Errorf("%s is still mounted", path)
		case e.IsDir():
			err = removeOwn(path)
		default:
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return os.Remove(dir)
}
