package slurm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/ci/nodes"
)

const (
	upBound   = time.Minute
	askBound  = 10 * time.Second
	downBound = 10 * time.Second
)

// Cluster is a running Slurm.
type Cluster struct {
	network *nodes.Network
	dir     string // below the network's
	daemons []*daemon
}

// daemon is one of Slurm's or munge's.
type daemon struct {
	*exec.Cmd
	ended chan struct{}
}

// Check reports why a cluster can't be brought up on this machine.
func Check() error {
	for _, program := range []string{"slurmctld", "slurmd", "munged", "sbatch"} {
		if _, err := lookPath(program); err != nil {
			return fmt.Errorf("%w (Debian: apt-get install slurm-wlm slurm-wlm-basic-plugins munge)", err)
		}
	}
	return nodes.Check()
}

func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", program))
	}
	return path, err
}

// Up starts Slurm on all hosts of n and returns when all of them take jobs.
func Up(n *nodes.Network) (*Cluster, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	c := &Cluster{network: n, dir: filepath.Join(n.Dir(), "slurm")}
	if err := c.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("slurm: %w\n%s", err, c.Logs()), c.Down())
	}
	return c, nil
}

func (c *Cluster) start() error {
	for _, dir := range []string{"", "state", "log", "munge", "pid"} {
		if err := os.MkdirAll(filepath.Join(c.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := c.startMunge(); err != nil {
		return err
	}
	if err := os.WriteFile(c.conf(), []byte(c.configuration()), 0o644); err != nil {
		return err
	}
	// Else slurmd looks for the control groups of systemd, and stops without them.
	if err := os.WriteFile(filepath.Join(c.dir, "cgroup.conf"), []byte("CgroupPlugin=cgroup/v1\n"), 0o644); err != nil {
		return err
	}
	if err := c.daemon(c.network.Front(), "slurmctld", "-D", "-f", c.conf()); err != nil {
		return err
	}
	for _, h := range c.network.Hosts() {
		for _, kind := range []string{"spool", "tmp"} {
			if err := os.MkdirAll(filepath.Join(c.dir, kind, h.Name()), 0o755); err != nil {
				return err
			}
		}
		if err := c.daemon(h, "slurmd", "-D", "-N", h.Name(), "-f", c.conf()); err != nil {
			return err
		}
	}
	return c.await("idle", len(c.network.Hosts()))
}

// startMunge starts munged and returns when it answers. All hosts reach it by its socket, which is in a
// shared directory.
func (c *Cluster) startMunge() error {
	key := make([]byte, 128)
	rand.Read(key) // never fails
	dir := filepath.Join(c.dir, "munge")
	if err := os.WriteFile(filepath.Join(dir, "key"), key, 0o400); err != nil {
		return err
	}
	err := c.daemon(c.network.Front(), "munged", "--foreground", "--force", "--num-threads=2",
		"--key-file="+dir+"/key", "--socket="+dir+"/socket", "--pid-file="+dir+"/pid",
		"--log-file="+dir+"/log", "--seed-file="+dir+"/seed")
	if err != nil {
		return err
	}
	for end := time.Now().Add(upBound); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir + "/socket"); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("munged does not listen")
		}
	}
}

// await returns when n nodes are in a state.
func (c *Cluster) await(state string, n int) error {
	for end := time.Now().Add(upBound); ; time.Sleep(50 * time.Millisecond) {
		out, err := c.ask("sinfo", "-h", "-t", state, "-o", "%D")
		if err == nil && strings.TrimSpace(out) == fmt.Sprint(n) {
			return nil
		}
		if time.Now().After(end) {
			all, _ := c.ask("sinfo")
			return fmt.Errorf("not all %d nodes are %s: %w\n%s", n, state, err, all)
		}
	}
}

// ask runs a command that answers at once or not at all.
func (c *Cluster) ask(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askBound)
	defer cancel()
	var out, said bytes.Buffer
	cmd := c.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// daemon starts a daemon on a host.
func (c *Cluster) daemon(h *nodes.Host, name string, args ...string) error {
	path, err := lookPath(name)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(c.dir, "log", name+"."+h.Name()+".out"))
	if err != nil {
		return err
	}
	defer log.Close()
	d := &daemon{Cmd: h.Command(context.Background(), path, args...), ended: make(chan struct{})}
	d.Dir = "/"
	d.Env = append(os.Environ(), "SLURM_CONF="+c.conf())
	d.Stdout, d.Stderr = log, log
	if err := d.Start(); err != nil {
		return err
	}
	c.daemons = append(c.daemons, d)
	go func() {
		_ = d.Wait() // ended by Down, or its log says why
		close(d.ended)
	}()
	return nil
}

// Environment is what Slurm's commands need beside what is inherited.
func (c *Cluster) Environment() []string { return []string{"SLURM_CONF=" + c.conf()} }

// Command is a command on the front-end, such as sbatch. Whoever sets its Env must not lose
// [Cluster.Environment].
func (c *Cluster) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := c.network.Front().Command(ctx, name, args...)
	cmd.Env = append(os.Environ(), c.Environment()...)
	return cmd
}

// Logs is the end of what each daemon says, for a test that failed.
func (c *Cluster) Logs() string {
	const most = 2000 // bytes of each
	var all strings.Builder
	paths, _ := filepath.Glob(filepath.Join(c.dir, "log", "*.out"))
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		fmt.Fprintf(&all, "%s:\n%s\n", filepath.Base(path), text[max(len(text)-most, 0):])
	}
	return all.String()
}

// Down cancels all jobs and ends Slurm. The processes of jobs that do not end by that end with the network.
func (c *Cluster) Down() error {
	if len(c.daemons) > 1 {
		_, _ = c.ask("scancel", "--user=root", "--full")
	}
	var failed error
	for i := len(c.daemons) - 1; i >= 0; i-- {
		d := c.daemons[i]
		_ = d.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.ended:
			continue
		case <-time.After(downBound):
		}
		_ = d.Process.Kill()
		select {
		case <-d.ended:
		case <-time.After(downBound):
			failed = errors.Join(failed, fmt.Errorf("%v did not end", d.Args))
		}
	}
	c.daemons = nil
	return failed
}
