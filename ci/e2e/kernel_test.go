package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/slowfs"
)

// TestNeverNotThere: whoever looks at a mount while its daemon is killed and another one takes over meets
// errors and right answers, never an absence, an empty file or an empty directory.
func TestNeverNotThere(t *testing.T) {
	target := t.TempDir()
	makeProbed(t, target)
	job := start(t, cluster.Options{Nodes: 1, Target: target})
	p := startProber(t, job.Mount(0))
	for range 3 {
		before := status(t, job).Nodes[0]
		kill(t, before.PID, syscall.SIGKILL)
		awaitNext(t, job, before.PID)
	}
	met := p.end(t)
	t.Logf("met during three restarts:\n%s", met)
	if strings.Contains(met, "WRONG") {
		t.Error("the prober was told something wrong")
	}
	if left := mountsBelow(t, job.Dir, "fuse.copper"); len(left) != 1 {
		t.Errorf("mounts: %v, want one", left)
	}
}

// awaitNext waits for a daemon of rank 0 other than pid whose mount serves.
func awaitNext(t *testing.T, job *cluster.Job, pid int) {
	t.Helper()
	var now struct{ Nodes []struct{ PID int } }
	await(t, "the next daemon", func() bool {
		return job.Status(context.Background(), &now) == nil && len(now.Nodes) > 0 && now.Nodes[0].PID != pid &&
			exec.Command("stat", filepath.Join(job.Mount(0), "none")).Run() != nil &&
			exec.Command("ls", job.Mount(0)).Run() == nil
	})
}

// stalledReaders are processes that each read a file of their own through a mount whose PFS does not
// answer.
type stalledReaders struct {
	t    *testing.T
	cmds []*exec.Cmd
	ends chan error
}

const stalledReading = 20

// stall starts a job of one node on a PFS that does not answer reads, and readers that wait for it.
func stall(t *testing.T, args ...string) (*cluster.Job, *slowfs.Server, *stalledReaders) {
	t.Helper()
	backing := t.TempDir()
	for i := range stalledReading {
		if err := os.WriteFile(filepath.Join(backing, fmt.Sprint(i)), bytes.Repeat([]byte{byte(i)}, 100_000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir, server := pfs(t, backing, 1)
	job := start(t, cluster.Options{Dir: dir, Nodes: 1, Target: cluster.Target(dir), Args: args})
	if err := server.SetFault(slowfs.Fault{Op: slowfs.OpRead, Stall: true}); err != nil {
		t.Fatal(err)
	}
	r := &stalledReaders{t: t, ends: make(chan error, stalledReading)}
	for i := range stalledReading {
		r.start(exec.Command("cat", filepath.Join(job.Mount(0), fmt.Sprint(i))))
	}
	await(t, "the readers to wait for the PFS", func() bool {
		return server.Counts().Stalled > 0 && len(r.waiting()) == stalledReading
	})
	return job, server, r
}

func (r *stalledReaders) start(cmd *exec.Cmd) {
	r.t.Helper()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.cmds = append(r.cmds, cmd)
	go func() { r.ends <- cmd.Wait() }()
	r.t.Cleanup(func() { _ = cmd.Process.Kill() })
}

// waiting are the readers that wait within the kernel.
func (r *stalledReaders) waiting() (pids []int) {
	for _, cmd := range r.cmds {
		if state(cmd.Process.Pid) == "D" {
			pids = append(pids, cmd.Process.Pid)
		}
	}
	return pids
}

// state is the process's state as in /proc/PID/stat, "" if there is no such process.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return string(bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])[0])
}

// freed waits until every reader has got an error, and nobody waits within the kernel.
func (r *stalledReaders) freed(what string) {
	r.t.Helper()
	began := time.Now()
	for range r.cmds {
		select {
		case err := <-r.ends:
			if err == nil {
				r.t.Errorf("%s: a reader was told that it has read the file", what)
			}
		case <-time.After(time.Minute):
			r.t.Fatalf("%s: processes %v still wait", what, r.waiting())
		}
	}
	r.t.Logf("%s: %d readers were free after %v", what, len(r.cmds), time.Since(began).Round(time.Millisecond))
}

// TestReadersOfADeadDaemon: requests in flight against a PFS that does not answer end with the daemon,
// which leaves neither a process in the kernel nor, after the stop, a mount.
func TestReadersOfADeadDaemon(t *testing.T) {
	job, server, readers := stall(t)
	before := status(t, job).Nodes[0]
	if holders := deviceHolders(t); !holdersBelow(holders, job.Dir, before.PID) {
		t.Errorf("others than the daemon hold the connection: %v", holders)
	}
	kill(t, before.PID, syscall.SIGKILL)
	readers.freed("SIGKILL of the daemon")
	server.ClearFaults()
	awaitNext(t, job, before.PID)
	if got, err := os.ReadFile(filepath.Join(job.Mount(0), "7")); err != nil || len(got) != 100_000 || got[0] != 7 {
		t.Errorf("the next daemon: %d bytes, %v", len(got), err)
	}
}

// TestDaemonKilledWhileClearing: a thread of the daemon that waits for the kernel to forget pages, which
// wait for an answer of that daemon, would keep a killed one from ending. The clear says that the
// kernel has not forgotten all.
func TestDaemonKilledWhileClearing(t *testing.T) {
	job, server, readers := stall(t, "--hung", "10m")
	before := status(t, job).Nodes[0]
	if _, err := job.Run(context.Background(), "clear"); err == nil || !strings.Contains(err.Error(), "the kernel has not forgotten all") {
		t.Errorf("clear while files are being read: %v", err)
	}
	kill(t, before.PID, syscall.SIGKILL)
	readers.freed("SIGKILL of a daemon that clears")
	server.ClearFaults()
	awaitNext(t, job, before.PID)
}

// TestReadersOfADeadNode: the same where the supervisor dies at the same moment: nobody is left to abort
// anything, and the kernel does it.
func TestReadersOfADeadNode(t *testing.T) {
	job, server, readers := stall(t)
	killAtOnce(t, status(t, job).Nodes)
	readers.freed("SIGKILL of daemon and supervisor")
	server.ClearFaults()
	if _, err := job.Run(context.Background(), "launch", "--nodes", "1", "--target", job.Dir+"/pfs0", "-v", job.Mount(0)); err != nil {
		t.Errorf("launch after it: %v", err)
	}
}

// TestHungDaemon: a daemon that is stopped does not hold its own node's readers: it is replaced.
func TestHungDaemon(t *testing.T) {
	const hung = 3 * time.Second
	job, server, readers := stall(t, "--hung", hung.String())
	before := status(t, job).Nodes[0]
	// Long stalls of the PFS are none of it.
	time.Sleep(hung + hung/2)
	if now := status(t, job).Nodes[0]; now.PID != before.PID {
		t.Error("a daemon that waits for the PFS was taken for a hung one")
	}
	kill(t, before.PID, syscall.SIGSTOP)
	stopped := time.Now()
	readers.freed("SIGSTOP of the daemon")
	server.ClearFaults()
	awaitNext(t, job, before.PID)
	t.Logf("with %v as the bound, a stopped daemon's mount works again after %v", hung, time.Since(stopped).Round(time.Millisecond))
}

// deviceHolders are the processes that hold /dev/fuse open, with their arguments.
func deviceHolders(t *testing.T) map[int]string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	holders := map[int]string{}
	for _, link := range links {
		if to, _ := os.Readlink(link); to != "/dev/fuse" {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		holders[pid] = string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
	}
	return holders
}

// holdersBelow tells whether pid is the only holder that has to do with dir.
func holdersBelow(holders map[int]string, dir string, pid int) bool {
	for p, args := range holders {
		if p != pid && strings.Contains(args, dir) {
			return false
		}
	}
	_, held := holders[pid]
	return held
}

// TestResidentMemory: a daemon that streams 3 GB stays within its budget and a little, as the leaf where
// the reader is and as the parent that forwards.
func TestResidentMemory(t *testing.T) {
	const (
		size   = 3 << 30
		budget = 256 << 20
		beside = 150 << 20 // of the runtime, the tables of the kernel's requests, the libraries
	)
	target := t.TempDir()
	patterned(t, filepath.Join(target, "large"), size)
	job := start(t, cluster.Options{Nodes: 2, Target: target, Args: []string{"--memory", "256MiB", "-T", "1", "--fanout", "2"}})
	began := time.Now()
	readPatterned(t, filepath.Join(job.Mount(1), "large"), size)
	t.Logf("reading took %v", time.Since(began).Round(time.Millisecond))
	for i, n := range status(t, job).Nodes {
		peak := highestResident(t, n.PID)
		t.Logf("rank %d: at most %d MiB resident, budget %d MiB", i, peak>>20, budget>>20)
		if peak > budget+beside {
			t.Errorf("rank %d had %d MiB resident, want at most %d", i, peak>>20, (budget+beside)>>20)
		}
	}
}

// patterned makes a sparse file that begins each MiB with that MiB's number.
func patterned(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < size; off += 1 << 20 {
		if _, err := f.WriteAt([]byte(fmt.Sprintf("%08d", off>>20)), off); err != nil {
			t.Fatal(err)
		}
	}
}

func readPatterned(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	part := make([]byte, 1<<20)
	for off := int64(0); off < size; off += 1 << 20 {
		if _, err := f.ReadAt(part, off); err != nil {
			t.Fatal(err)
		}
		if string(part[:8]) != fmt.Sprintf("%08d", off>>20) {
			t.Fatalf("WRONG BYTES at %d: %q", off, part[:8])
		}
	}
}

// highestResident is the most memory that a process has had resident, in bytes.
func highestResident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("process %d has no VmHWM", pid)
	return 0
}
