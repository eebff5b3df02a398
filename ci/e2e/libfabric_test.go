package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/faults"
	"github.com/copper-hpc/copper/launch"
)

// libfabric has daemons talk over libfabric's own provider for TCP: the same code as over CXI, but for the
// provider.
var libfabric = []string{"-n", "ofi+tcp://127.0.0.1"}

// TestLibfabricImport: with both MPIs an import through four mounts gets what it should, and the PFS is asked
// for everything once.
func TestLibfabricImport(t *testing.T) {
	const nodes = 4
	for mpi := range launchers {
		t.Run(mpi, func(t *testing.T) {
			dir, server := pfs(t, site(t), nodes)
			job := start(t, cluster.Options{Copper: binary(t, mpi), Dir: dir, Nodes: nodes, Target: cluster.Target(dir), Args: append(lifetime, libfabric...)})
			server.Reset() // each daemon has looked at its target
			imports(t, job, 1)
			once(t, site(t), askedByPath(server), 1)
			for _, n := range status(t, job).Nodes {
				if n.Failovers > 0 || n.DirectReads > 0 {
					t.Errorf("rank %d: %d failovers, %d direct reads among healthy nodes", n.Rank, n.Failovers, n.DirectReads)
				}
			}
			book, err := os.ReadFile(filepath.Join(dir, "jobs", jobID(t, dir), "logs", "copper_address_book.txt"))
			if err != nil || strings.Count(string(book), " ofi+tcp://127.0.0.1:") != nodes {
				t.Errorf("the job's address book: %v\n%s", err, book)
			}
		})
	}
}

// jobID is the id of the only job below dir.
func jobID(t *testing.T, dir string) string {
	t.Helper()
	jobs, err := os.ReadDir(filepath.Join(dir, "jobs"))
	if err != nil || len(jobs) != 1 {
		t.Fatalf("jobs: %v, %v", jobs, err)
	}
	return jobs[0].Name()
}

// odd is a program that is copper with one variable of the environment changed on rank 1.
func odd(t *testing.T, variable string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copper")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$OMPI_COMM_WORLD_RANK\" != 1 ] || export %s\nexec %s \"$@\"\n", variable, binary(t, "copper"))
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLibfabricMissing: where one node has no libfabric, all use TCP and say so once, if they may; else nothing is
// started, and it is told which node lacks what.
func TestLibfabricMissing(t *testing.T) {
	lacking := odd(t, "COPPER_LIBFABRIC=/none/libfabric.so")
	s := bareOf(t, lacking, "copper", "3", "--target", site(t), "-n", "ofi+tcp://127.0.0.1", "--fallback")
	logs := s.logs()
	if said := regexp.MustCompile(`level=WARN.*network ofi\+tcp://127.0.0.1: .*/none/libfabric.so.*: all nodes use TCP instead.*hosts=1 of=3`).FindAllString(logs, -1); len(said) != 1 || strings.Count(logs, "level=WARN") != 1 {
		t.Errorf("the ranks said %q in\n%s", said, logs)
	}
	book, err := os.ReadFile(filepath.Join(s.Dir, "jobs", s.id(), "logs", "copper_address_book.txt"))
	if err != nil || strings.Count(string(book), " tcp://127.0.0.1:") != 3 || strings.Contains(string(book), "ofi") {
		t.Errorf("the job's address book: %v\n%s", err, book)
	}
	if _, err := os.Stat(filepath.Join(s.Mount(2), "numpy")); err != nil {
		t.Error(err)
	}
	s.trusted()
	s.finish()

	for _, c := range []struct {
		variable string
		args     []string
		want     string
	}{
		{"COPPER_LIBFABRIC=/none/libfabric.so", []string{"-n", "ofi+tcp://127.0.0.1"}, `\(rank 1\): network ofi\+tcp://127.0.0.1: .*/none/libfabric.so.*: take -n tcp`},
		{"COPPER_NET=tcp://127.0.0.1", nil, `would not reach each other: \S+ by ofi\+tcp; \S+ by tcp: give all of them the same -n`},
	} {
		dir := t.TempDir()
		words := slices.Concat([]string{"--oversubscribe", "-n", "3", odd(t, c.variable), "serve", "--target", "/etc", "-v", filepath.Join(dir, "mnt{rank}"), "-d", filepath.Join(dir, "jobs")}, c.args)
		cmd := exec.Command("mpirun.openmpi", words...) // without recovery, which succeeds whatever happens
		cmd.Env = append(os.Environ(), "COPPER_NET=ofi+tcp://127.0.0.1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !regexp.MustCompile(c.want).Match(out) {
			t.Errorf("%s: %v, want exit 2 and %s\n%s", c.variable, err, c.want, out)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "mnt*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestLibfabricTroubles: daemons that are killed or stopped, and strangers at their ports: nobody on the other nodes
// meets an error or a wrong byte, and whoever is started again comes back at its endpoint.
func TestLibfabricTroubles(t *testing.T) {
	books := newLibrary(t)
	// A supervisor would end what is stopped for longer.
	s := bare(t, "copper", "4", slices.Concat([]string{"--target", books.dir, "--hung", "1h"}, tree, smallest, libfabric)...)
	for _, victim := range []int{0, 2} {
		s.killed(books, victim)
	}
	if listened := listening.FindAllString(s.logs(), -1); len(listened) != s.Nodes+2 || len(unique(listened)) != s.Nodes {
		t.Errorf("the daemons have listened at %q", listened)
	}
	s.stopped(books, 2)
	s.pestered(books)
	s.finish()
}

var listening = regexp.MustCompile(`msg=listening endpoint=ofi\+tcp://\S+`)

func unique(words []string) map[string]bool {
	set := map[string]bool{}
	for _, w := range words {
		set[w] = true
	}
	return set
}

// pestered has strangers connect to the daemons' ports and send bytes that nobody has asked for, or nothing at all, while
// all mounts are read.
func (s *step) pestered(books *library) {
	t := s.t
	t.Helper()
	readers := books.readAll(t, s.others(-1)...)
	readers.progress("before the noise", 2)
	var before []launch.NodeStatus
	for rank := range s.Nodes {
		n, _ := s.node(rank)
		before = append(before, n)
	}
	ctx, quiet := context.WithCancel(context.Background())
	defer quiet()
	var running sync.WaitGroup
	var bytes atomic.Int64
	for line := range unique(listening.FindAllString(s.logs(), -1)) {
		_, address, _ := strings.Cut(line, "://")
		for kind := range 3 {
			running.Go(func() { bytes.Add(noise(ctx, address, kind)) })
		}
	}
	readers.progress("amid the noise", 6)
	quiet()
	running.Wait()
	readers.progress("after the noise", 2)
	readers.faultless("noise at the daemons' ports")
	t.Logf("%d bytes of noise were taken", bytes.Load())
	for rank := range s.Nodes {
		// That a slow peer is gone around is right, too.
		if n, ok := s.node(rank); !ok || n.PID != before[rank].PID || n.Restarts != before[rank].Restarts {
			t.Errorf("rank %d: before the noise %+v, after it %+v", rank, before[rank], n)
		}
	}
	s.trusted()
}

// noise connects to an address again and again, and sends there what comes; of the third kind nothing. It returns how many
// bytes were taken.
func noise(ctx context.Context, address string, kind int) (sent int64) {
	for ctx.Err() == nil {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		switch kind {
		case 0: // until the other side has had enough
			n, _ := io.Copy(conn, rand.Reader)
			sent += n
		case 1: // a little
			n, _ := io.CopyN(conn, rand.Reader, 100)
			sent += n
		default:
			_, _ = io.Copy(io.Discard, conn)
		}
		conn.Close()
		time.Sleep(5 * time.Millisecond) // a stream, not a flood
	}
	return sent
}

var allOverLibfabric = flag.Bool("libfabric", false, "the whole fault matrix over libfabric, and not only a part")

// TestLibfabricFaults is TestFaultMatrix over libfabric; unless all of it is asked for, only where a node in the middle
// is cut off, or replaced by somebody else, while everybody waits for a part of a large file.
func TestLibfabricFaults(t *testing.T) {
	t.Parallel()
	m := matrix{places: []string{"interior"}, halves: [][]faults.Kind{{faults.Cut, faults.Garbage}}, whens: []string{midRead}}
	if *allOverLibfabric {
		m = all
	}
	m.serve = []string{"-n", "ofi+tcp"}
	m.run(t)
}
