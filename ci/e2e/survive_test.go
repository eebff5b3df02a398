package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/launch"
)

// tree is one tree in which ranks 1 and 2 are below 0, and 3 is below 2.
var tree = []string{"-T", "1", "--fanout", "2"}

var places = []string{"root", "leaf of the root", "interior node", "leaf of the interior node"}

// others are the mounts of all nodes but one.
func (s *step) others(but int) []string {
	var mounts []string
	for i := range s.Nodes {
		if i != but {
			mounts = append(mounts, s.Mount(i))
		}
	}
	return mounts
}

// trusted waits until no node suspects another.
func (s *step) trusted() {
	s.t.Helper()
	await(s.t, "every node to trust every other", func() bool {
		for i := range s.Nodes {
			if n, ok := s.node(i); !ok || n.Suspects > 0 {
				return false
			}
		}
		return true
	})
}

// failovers counts how often all nodes but one have turned from a peer that gave no answer.
func (s *step) failovers(but int) (sum int64) {
	s.t.Helper()
	for i := range s.Nodes {
		if n, ok := s.node(i); ok && i != but {
			sum += n.Failovers + n.DirectReads + n.HedgesWon
		}
	}
	return sum
}

// TestDaemonsKilled: each rank's daemon in turn is killed. Nobody on the other nodes meets an error or
// a wrong byte, the node's own mount works again, and the launcher notices nothing.
func TestDaemonsKilled(t *testing.T) {
	for mpi := range launchers {
		t.Run(mpi, func(t *testing.T) {
			books := newLibrary(t)
			s := bare(t, mpi, "4", append(append([]string{"--target", books.dir}, tree...), smallest...)...)
			for victim := range s.Nodes {
				s.killed(books, victim)
			}
			s.finish()
		})
	}
}

// killed kills one rank's daemon while the others' mounts are read.
func (s *step) killed(books *library, victim int) {
	s.t.Helper()
	what := "SIGKILL of the " + places[victim]
	before, ok := s.node(victim)
	if !ok {
		s.t.Fatalf("rank %d does not answer", victim)
	}
	readers := books.readAll(s.t, s.others(victim)...)
	readers.progress("before the "+what, 2)
	kill(s.t, before.PID, syscall.SIGKILL)
	killed, met := time.Now(), map[syscall.Errno]int{}
	await(s.t, "the mount to work again", func() bool {
		if alive(before.PID) {
			return false
		}
		_, err := books.read(s.Mount(victim), victim)
		var errno syscall.Errno
		if errors.As(err, &errno) {
			met[errno]++
		}
		return err == nil
	})
	s.t.Logf("%s: its own mount works again after %v; met until then: %v", what, time.Since(killed).Round(time.Millisecond), met)
	readers.progress("after the "+what, 5)
	var after launch.NodeStatus
	await(s.t, "the new daemon to answer the others", func() (ok bool) {
		after, ok = s.node(victim)
		return ok
	})
	if after.PID == before.PID || after.Restarts != 1 || after.Supervisor != before.Supervisor {
		s.t.Errorf("%s: before %+v, after %+v", what, before, after)
	}
	s.trusted()
	readers.progress("with the "+places[victim]+" back", 5)
	readers.faultless(what)
	if s.t.Failed() {
		s.t.Log(s.logs())
	}
}

// TestDaemonStopped: a parent that is stopped is done without within a bounded time, and is a parent
// again when it goes on.
func TestDaemonStopped(t *testing.T) {
	books := newLibrary(t)
	// A supervisor would end what is stopped for longer.
	s := bare(t, "copper", "4", append(append([]string{"--target", books.dir, "--hung", "1h"}, tree...), smallest...)...)
	for _, victim := range []int{0, 2} {
		s.stopped(books, victim)
	}
	s.finish()
}

// stopped stops one rank's daemon for some time while the others' mounts are read.
func (s *step) stopped(books *library, victim int) {
	s.t.Helper()
	what := "SIGSTOP of the " + places[victim]
	before, ok := s.node(victim)
	if !ok {
		s.t.Fatalf("rank %d does not answer", victim)
	}
	readers := books.readAll(s.t, s.others(victim)...)
	readers.progress("before the "+what, 2)
	failovers := s.failovers(victim)
	kill(s.t, before.PID, syscall.SIGSTOP)
	since := time.Now()
	readers.progress("after the "+what, 5)
	s.t.Logf("%s: every reader has read 5 more files after %v", what, time.Since(since).Round(time.Millisecond))
	for time.Since(since) < time.Second { // long enough for somebody to miss it
		readers.progress("after the "+what, 1)
	}
	kill(s.t, before.PID, syscall.SIGCONT)
	s.trusted()
	if _, err := books.read(s.Mount(victim), victim); err != nil {
		s.t.Error(err)
	}
	readers.progress("with the "+places[victim]+" back", 5)
	readers.faultless(what)
	if s.failovers(victim) == failovers {
		s.t.Errorf("%s: nobody asked anybody else", what)
	}
	if after, ok := s.node(victim); !ok || after.PID != before.PID || after.Restarts != before.Restarts {
		s.t.Errorf("%s: before %+v, after %+v", what, before, after)
	}
}

// TestSupervisorKilled: the daemon without a supervisor ends and tidies up. Under OpenMPI the others
// go on; hydra ends them.
func TestSupervisorKilled(t *testing.T) {
	const victim = 1
	for mpi := range launchers {
		t.Run(mpi, func(t *testing.T) {
			books := newLibrary(t)
			s := bare(t, mpi, "3", append([]string{"--target", books.dir}, smallest...)...)
			n, ok := s.node(victim)
			if !ok {
				t.Fatalf("rank %d does not answer", victim)
			}
			if mpi != "copper" {
				kill(t, n.Supervisor, syscall.SIGKILL)
				t.Logf("the launcher: %v", s.over())
				s.nothingLeft()
				return
			}
			readers := books.readAll(t, s.others(victim)...)
			readers.progress("before", 2)
			kill(t, n.Supervisor, syscall.SIGKILL)
			await(t, "the daemon to end and its mount to go", func() bool {
				return !alive(n.PID) && len(mountsBelow(t, s.Mount(victim), "fuse.copper")) == 0
			})
			readers.progress("after", 5)
			readers.faultless("SIGKILL of a supervisor")
			if _, err := s.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
			t.Logf("the launcher: %v", s.over())
			s.nothingLeft()
		})
	}
}

// TestLauncherEnded: nothing outlives the launcher, whether it can still say so or not.
func TestLauncherEnded(t *testing.T) {
	for mpi := range launchers {
		for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
			t.Run(fmt.Sprint(mpi, " ", sig), func(t *testing.T) {
				s := bare(t, mpi, "3", "--target", site(t), "-t", "both")
				began := time.Now()
				kill(t, s.launcher.Process.Pid, sig)
				_ = s.over()
				s.nothingLeft()
				t.Logf("everything has ended %v after the signal", time.Since(began).Round(time.Millisecond))
			})
		}
	}
}

// TestCrashLoop: a daemon that dies again and again stays down, and the others go on without it.
func TestCrashLoop(t *testing.T) {
	const victim = 0
	for mpi := range launchers {
		t.Run(mpi, func(t *testing.T) {
			books := newLibrary(t)
			s := bare(t, mpi, "3", append([]string{"--target", books.dir}, smallest...)...)
			n, ok := s.node(victim)
			if !ok {
				t.Fatalf("rank %d does not answer", victim)
			}
			supervisor, last := n.Supervisor, 0
			readers := books.readAll(t, s.others(victim)...)
			await(t, "the supervisor to give up", func() bool {
				if n, ok := s.node(victim); ok && n.PID != last {
					last = n.PID
					_ = syscall.Kill(n.PID, syscall.SIGKILL)
				}
				return strings.Contains(s.logs(), "it stays down") && !alive(supervisor)
			})
			if left := mountsBelow(t, s.Mount(victim), "fuse.copper"); len(left) > 0 {
				t.Errorf("still mounted: %v", left)
			}
			readers.progress("without it", 5)
			readers.faultless("a crash loop of rank 0")
			if want := fmt.Sprintf("rank %d on ", victim); !strings.Contains(s.said(), want) || !strings.Contains(s.said(), "the other nodes go on without it") {
				t.Errorf("the step said: %s", s.said())
			}
			s.finish()
		})
	}
}

// TestStopWhileRestarting: copper stop ends the step in order while a daemon is down.
func TestStopWhileRestarting(t *testing.T) {
	for victim := range 2 {
		t.Run(fmt.Sprint(victim), func(t *testing.T) {
			s := bare(t, "copper", "3", "--target", site(t))
			last := 0
			for range 2 { // the second restart takes a moment
				var n launch.NodeStatus
				await(t, "the daemon to answer", func() (ok bool) {
					n, ok = s.node(victim)
					return ok && n.PID != last
				})
				last = n.PID
				kill(t, n.PID, syscall.SIGKILL)
				await(t, "the daemon to be gone", func() bool { return !alive(n.PID) })
			}
			s.finish()
			if out, err := s.Run(context.Background(), "status"); err == nil || !strings.Contains(err.Error(), "was stopped") {
				t.Errorf("status: %v\n%s", err, out)
			}
		})
	}
}

// alive is false for a process that has ended, even if nobody has waited for it yet.
func alive(pid int) bool {
	args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return len(args) > 0
}
