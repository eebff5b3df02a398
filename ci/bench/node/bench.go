package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/launch"
)

const (
	names         = 1000      // in the directories for metadata
	large         = 256 << 20 // bytes
	library       = 100 << 20 // bytes
	many          = 12        // processes that import at once
	passthroughLL = "libfuse's passthrough_ll"
	manyWork      = "warm import scipy.stats, 12 processes on all cores but one, which is the daemon's"
)

// bench is the trees and the mounts that are compared.
type bench struct {
	dir    string // on the disk: what Copper shows, and what is read natively where the disk is the measure
	memory string // on tmpfs: the same files
	self   string // this program, for workers

	copper      *cluster.Job
	passthrough *exec.Cmd // libfuse's, on dir; nil where it can't be had

	daemonCPU, importCPU float64 // seconds, in all rounds of manyWork
}

func newBench(ctx context.Context) (*bench, error) {
	b := &bench{}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("/var/tmp", "copper-bench-"); err != nil {
		return b, err
	}
	if b.memory, err = os.MkdirTemp("/dev/shm", "copper-bench-"); err != nil {
		return b, err
	}
	if err := b.fill(); err != nil {
		return b, err
	}
	b.copper, err = b.launch(ctx, "bench")
	if err != nil {
		return b, err
	}
	return b, b.mountPassthrough()
}

// fill makes the files on disk and copies them to tmpfs.
func (b *bench) fill() error {
	tree := filepath.Join(b.dir, "tree")
	for _, d := range []string{"files", "links"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			return err
		}
	}
	for i := range names {
		name := fmt.Sprintf("module_%04d.py", i)
		if err := os.WriteFile(filepath.Join(tree, "files", name), bytes.Repeat([]byte("x"), i), 0o644); err != nil {
			return err
		}
		if err := os.Symlink("../files/"+name, filepath.Join(tree, "links", name)); err != nil {
			return err
		}
	}
	data := make([]byte, large)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	if err := os.WriteFile(filepath.Join(tree, "large"), data, 0o644); err != nil {
		return err
	}
	if err := b.makeLibrary(tree, data[:library]); err != nil {
		return err
	}
	if _, err := cluster.CopyPackages(tree); err != nil {
		return err
	}
	out, err := exec.Command("cp", "-a", tree, b.memory).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy to tmpfs: %w: %s", err, out)
	}
	return nil
}

// makeLibrary builds a shared library of a given content, and a program that loads it and touches every
// page of it.
func (b *bench) makeLibrary(tree string, content []byte) error {
	blob := filepath.Join(b.dir, "blob")
	if err := os.WriteFile(blob, content, 0o644); err != nil {
		return err
	}
	for _, c := range []struct{ name, code, flags string }{
		{filepath.Join(tree, "lib100.so"), fmt.Sprintf(`__asm__(".section .rodata\n.global blob\nblob: .incbin \"%s\"\n.previous\n"); extern char blob[]; char *blob_start(void) { return blob; }`, blob), "-shared -fPIC"},
		{filepath.Join(b.dir, "load"), fmt.Sprintf(`#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
int main(int n, char **v) {
	struct timespec a, b; volatile char sum = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	void *h = dlopen(v[1], RTLD_NOW); if (!h) { fprintf(stderr, "%%s\n", dlerror()); return 1; }
	char *p = ((char *(*)(void))dlsym(h, "blob_start"))();
	for (long i = 0; i < %d; i += 4096) sum += p[i];
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%%f\n", b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9);
}`, library), "-O1 -ldl"},
	} {
		cmd := exec.Command("gcc", append([]string{"-x", "c", "-", "-o", c.name}, strings.Fields(c.flags)...)...)
		cmd.Stdin = strings.NewReader(c.code)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gcc: %w: %s", err, out)
		}
	}
	return os.Remove(blob)
}

func (b *bench) launch(ctx context.Context, id string, args ...string) (*cluster.Job, error) {
	copper, err := filepath.Abs("../../bin/copper")
	if err != nil {
		return nil, err
	}
	for _, e := range cluster.MPIEnvironment() {
		if name, value, ok := strings.Cut(e, "="); ok {
			os.Setenv(name, value)
		}
	}
	dir := filepath.Join(b.dir, "of-"+id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	return cluster.Launch(ctx, cluster.Options{Copper: copper, Dir: dir, Nodes: 1, Target: filepath.Join(b.dir, "tree"),
		Args: append([]string{"--job", id, "--memory", "1GiB", "-E", "3600000"}, args...)})
}

// mountPassthrough mounts libfuse's example over the same files, if its source can be had and built.
func (b *bench) mountPassthrough() error {
	program, point := filepath.Join(b.dir, "passthrough_ll"), filepath.Join(b.dir, "passthrough")
	if out, err := exec.Command("node/passthrough_ll", program).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "no passthrough_ll of libfuse to compare with: %v: %s\n", err, out)
		return nil
	}
	if err := os.Mkdir(point, 0o755); err != nil {
		return err
	}
	cmd := exec.Command(program, "-f", "-o", "source="+filepath.Join(b.dir, "tree"), "-o", "cache=always", "-o", "timeout=3600", point)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	b.passthrough = cmd
	for range 500 {
		if _, err := os.Lstat(filepath.Join(point, "large")); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("passthrough_ll did not mount %s", point)
}

func (b *bench) close() error {
	var errs []error
	if b.passthrough != nil {
		point := filepath.Join(b.dir, "passthrough")
		errs = append(errs, exec.Command("umount", point).Run(), b.passthrough.Wait())
	}
	if b.copper != nil && !b.copper.Stopped {
		_, err := b.copper.Stop(context.Background())
		errs = append(errs, err)
	}
	if errors.Join(errs...) == nil { // else something may be mounted still
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(append(errs, os.RemoveAll(b.memory))...)
}

// rows are what is measured in every round.
func (b *bench) rows() []*row {
	disk, memory, mount := filepath.Join(b.dir, "tree"), filepath.Join(b.memory, "tree"), b.copper.Mount(0)
	worker := func(name, dir, path string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) { return b.worker(ctx, name, filepath.Join(dir, path)) }
	}
	atLeast := func(x float64) func(float64) bool { return func(r float64) bool { return r >= x } }
	atMost := func(x float64) func(float64) bool { return func(r float64) bool { return r <= x } }
	rows := []*row{
		{work: "warm import scipy.stats", against: "tmpfs", unit: "s", aim: "≤ 1.10x", met: atMost(1.10),
			native: second(b.imports(memory, 1)), mount: second(b.imports(mount, 1))},
		{work: manyWork, against: "tmpfs", unit: "s", aim: "≤ 1.15x", met: atMost(1.15),
			native: b.imports(memory, many), mount: b.aside(b.imports(mount, many))},
	}
	for _, r := range []struct {
		work, worker, path, unit string
		aim                      float64
		native                   string
	}{
		{"warm stat", "stat", "files", "k/s", 0.9, memory},
		{"warm stat of what is not there", "absent", "files", "k/s", 1, memory},
		{"open and close", "open", "files", "k/s", 0.6, memory},
		{"list a directory of 1,000", "listdir", "files", "k/s", 1, memory},
		{"readlink", "readlink", "links", "k/s", 0.85, memory},
		{"warm sequential read, 256 MiB", "read", "large", "MB/s", 0.9, disk},
		{"warm mmap, every page touched, 256 MiB", "map", "large", "MB/s", 0.9, disk},
	} {
		against := "tmpfs"
		if r.native == disk {
			against = "the disk's file system"
		}
		rows = append(rows, &row{work: r.work, against: against, unit: r.unit, aim: fmt.Sprintf("≥ %.2fx", r.aim), met: atLeast(r.aim),
			native: worker(r.worker, r.native, r.path), mount: worker(r.worker, mount, r.path)})
	}
	rows = append(rows, &row{work: "dlopen of 100 MB, every page touched", against: "the disk's file system", unit: "s", aim: "≤ 1.15x",
		met: atMost(1.15), native: b.load(disk), mount: b.load(mount)})
	if through := filepath.Join(b.dir, "passthrough"); b.passthrough != nil {
		rows = append(rows,
			&row{work: "the same read", against: passthroughLL, unit: "MB/s", aim: "≥ 0.90x", met: atLeast(0.9),
				native: worker("read", through, "large"), mount: worker("read", mount, "large")},
			&row{work: "the same mmap", against: passthroughLL, unit: "MB/s", aim: "≥ 0.90x", met: atLeast(0.9),
				native: worker("map", through, "large"), mount: worker("map", mount, "large")},
			&row{work: "the same dlopen", against: passthroughLL, unit: "s", aim: "≤ 1.15x", met: atMost(1.15),
				native: b.load(through), mount: b.load(mount)})
	}
	cold := &row{work: "cold read of 256 MiB from the daemon's memory", against: passthroughLL, unit: "MB/s", aim: "≥ 2 GB/s or 1.2x",
		native: worker("cold", filepath.Join(b.dir, "passthrough"), "large"), mount: worker("cold", mount, "large")}
	if b.passthrough == nil {
		cold.against, cold.native = "a warm read of the same", worker("read", disk, "large")
	}
	cold.met = func(r float64) bool { return median(cold.mounts) >= 2e9 || b.passthrough != nil && r >= 1.2 }
	return append(rows, cold)
}

func (b *bench) worker(ctx context.Context, name, path string) (float64, error) {
	return number(exec.CommandContext(ctx, b.self, "work", name, path))
}

// second measures twice and takes the second: a kernel that gives idle pages up has them back by then.
func second(f func(context.Context) (float64, error)) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		if _, err := f(ctx); err != nil {
			return 0, err
		}
		return f(ctx)
	}
}

// load is the time of a process that loads the library, in seconds.
func (b *bench) load(dir string) func(context.Context) (float64, error) {
	return second(func(ctx context.Context) (float64, error) {
		return number(exec.CommandContext(ctx, filepath.Join(b.dir, "load"), filepath.Join(dir, "lib100.so")))
	})
}

// number is what a command prints.
func number(cmd *exec.Cmd) (float64, error) {
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", cmd, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// imports is the time until n processes that start together have imported, in seconds. Several leave
// the first core free.
func (b *bench) imports(dir string, n int) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		begin := time.Now()
		err := cluster.Together(1, n, func(int) *exec.Cmd {
			python := cluster.Python(ctx, filepath.Join(dir, "site-packages"), "import scipy.stats")
			if n > 1 && runtime.NumCPU() > 1 {
				bound := exec.CommandContext(ctx, "taskset", append([]string{"-c", fmt.Sprintf("1-%d", runtime.NumCPU()-1)}, python.Args...)...)
				bound.Env = python.Env
				return bound
			}
			return python
		})
		return time.Since(begin).Seconds(), err
	}
}

// aside measures with the daemon on the first core alone, and counts the processor time that it and
// the importers take.
func (b *bench) aside(f func(context.Context) (float64, error)) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		s, err := b.status(ctx)
		if err != nil {
			return 0, err
		}
		daemon := s.Nodes[0].PID
		bind := func(cores string) error {
			return exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", cores, strconv.Itoa(daemon)).Run()
		}
		if err := bind("0"); err != nil {
			return 0, err
		}
		before, children := processTime(daemon), childrenTime()
		v, err := f(ctx)
		b.daemonCPU += processTime(daemon) - before
		b.importCPU += childrenTime() - children
		return v, errors.Join(err, bind(fmt.Sprintf("0-%d", runtime.NumCPU()-1)))
	}
}

func (b *bench) daemonShare() float64 { return b.daemonCPU / b.importCPU }

// childrenTime is the processor time of the children that have ended, in seconds.
func childrenTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// processTime is the processor time of a process so far, in seconds; /proc counts in ticks of 10 ms.
func processTime(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	ticks := 0.0
	for _, f := range fields[11:13] { // utime, stime
		n, _ := strconv.ParseFloat(f, 64)
		ticks += n
	}
	return ticks / 100
}

func (b *bench) status(ctx context.Context) (launch.Status, error) { return statusOf(ctx, b.copper) }

func statusOf(ctx context.Context, job *cluster.Job) (launch.Status, error) {
	var s launch.Status
	err := job.Status(ctx, &s)
	if err == nil && len(s.Nodes) != 1 {
		err = errors.New("the daemon does not answer")
	}
	return s, err
}

func (b *bench) requests(ctx context.Context) (map[string]int64, error) {
	s, err := b.status(ctx)
	if err != nil {
		return nil, err
	}
	return s.Nodes[0].Requests, nil
}

func (b *bench) requestsSince(ctx context.Context, before map[string]int64) (map[string]int64, error) {
	now, err := b.requests(ctx)
	if err != nil {
		return nil, err
	}
	for op, n := range now {
		if now[op] = n - before[op]; now[op] == 0 || op == "FORGET" {
			delete(now, op) // forgetting is the kernel's own housekeeping
		}
	}
	return now, nil
}

// afterWarm measures the first import of jobs that were warmed with the manifest of this one.
func (b *bench) afterWarm(ctx context.Context) (*row, error) {
	r := &row{work: "first import after copper warm", against: "tmpfs, warm", unit: "s", aim: "≤ 1.15x, ≤ 10 READ"}
	r.met = func(ratio float64) bool { return ratio <= 1.15 && r.requests["READ"] <= 10 }
	native := b.imports(filepath.Join(b.memory, "tree"), 1)
	for round := range rounds {
		if _, err := b.copper.Stop(ctx); err != nil {
			return nil, err
		}
		recorded := filepath.Join(b.dir, "of-bench", "jobs", "bench", "manifest.gz")
		var err error
		if b.copper, err = b.launch(ctx, fmt.Sprint("warm", round), "--warm", recorded); err != nil {
			return nil, err
		}
		n, err := native(ctx)
		if err != nil {
			return nil, err
		}
		before, err := b.requests(ctx)
		if err != nil {
			return nil, err
		}
		m, err := b.imports(b.copper.Mount(0), 1)(ctx)
		if err != nil {
			return nil, err
		}
		if r.requests, err = b.requestsSince(ctx, before); err != nil {
			return nil, err
		}
		r.natives, r.mounts = append(r.natives, n), append(r.mounts, m)
	}
	return r, nil
}
