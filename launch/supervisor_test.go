package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fixtureCharge is what the tests' daemons are told.
type fixtureCharge struct {
	Restarts int
	Behave   string
}

// daemonFixture is a daemon that behaves as its charge says.
func daemonFixture() {
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	var c fixtureCharge
	s, sockets, err := UnderSupervision(&c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch c.Behave {
	case "die":
		fmt.Fprintln(os.Stderr, "I die")
		os.Exit(7)
	case "refuse":
		_ = s.Report(BadInput("the mount point is taken"))
		os.Exit(0)
	case "mute":
		<-s.Gone()
		os.Exit(0)
	}
	if err := unix.Faccessat(int(s.Beneath.Fd()), "beneath", unix.F_OK, 0); err != nil {
		os.Exit(11)
	}
	ln, err := net.FileListener(sockets[0])
	if err != nil {
		os.Exit(8)
	}
	go func() { // tells who calls how many died before it, and dies if it is told so
		for {
			conn, err := ln.Accept()
			if err != nil {
				os.Exit(9)
			}
			fmt.Fprintln(conn, c.Restarts)
			if order, _ := io.ReadAll(conn); string(order) == "panic" {
				panic("as ordered")
			}
			conn.Close()
		}
	}()
	if err := s.Report(nil); err != nil {
		os.Exit(10)
	}
	began := time.Now()
	s.Beat(fixtureBeat, func() bool { return c.Behave != "hang" || time.Since(began) < time.Second/2 })
	for {
		select {
		case <-terminate:
			if c.Behave != "stubborn" {
				os.Exit(0)
			}
		case <-s.Gone():
			os.Exit(0)
		}
	}
}

// fixtureBeat is how often a daemon of the tests tells that it lives.
const fixtureBeat = 20 * time.Millisecond

// keeper is a Supervisor with its surroundings.
type keeper struct {
	*Supervisor
	t    *testing.T
	addr string

	log, stderr syncBuffer
	behave      func(restarts int) string

	mu       sync.Mutex
	pids     []int
	pauses   []time.Duration
	aborted  int
	dropped  int
	stopping bool
	clock    time.Time
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newKeeper has daemons that behave, and a clock in which pauses take no time.
func newKeeper(t *testing.T, behave func(restarts int) string) *keeper {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{t: t, addr: "127.0.0.1:0", behave: behave, clock: time.Now()}
	logger, closer := NewLog(MostLogLevel, LogStdout, "", pipeTo(t, &k.log))
	t.Cleanup(func() { _ = closer.Close() })
	locked := func(f func()) { k.mu.Lock(); defer k.mu.Unlock(); f() }
	k.Supervisor = &Supervisor{
		Program: program, Args: []string{program, "daemon"},
		Charge:  func(restarts int) any { return fixtureCharge{restarts, k.behave(restarts)} },
		Listen:  k.listen,
		Started: func(pid int) { locked(func() { k.pids = append(k.pids, pid) }) },
		Abort:   func() { locked(func() { k.aborted++ }) },
		Drop:    func() error { locked(func() { k.dropped++ }); return nil },
		Stopping: func() (stopping bool) {
			locked(func() { stopping = k.stopping })
			return stopping
		},
		Timeout: time.Minute, Hung: time.Minute,
		Policy: RestartPolicy{Most: 3, Window: time.Hour, Pause: time.Second, Longest: time.Minute},
		Log:    logger, Stderr: &k.stderr,
		now: func() (now time.Time) {
			locked(func() { now = k.clock })
			return now
		},
		after: func(d time.Duration) <-chan time.Time {
			at := make(chan time.Time, 1)
			locked(func() {
				k.pauses = append(k.pauses, d)
				k.clock = k.clock.Add(d)
				at <- k.clock
			})
			return at
		},
	}
	point := t.TempDir()
	if err := os.WriteFile(filepath.Join(point, "beneath"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if k.Beneath, err = os.Open(point); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = k.End()
		k.Beneath.Close()
	})
	return k
}

// pipeTo is a file whose content goes to w.
func pipeTo(t *testing.T, w io.Writer) *os.File {
	t.Helper()
	r, file, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(w, r)
	}()
	t.Cleanup(func() {
		_ = file.Close()
		<-done
		_ = r.Close()
	})
	return file
}

// listen listens where it listened before.
func (k *keeper) listen() ([]*os.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ln, err := net.Listen("tcp", k.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ln.Close() }()
	k.addr = ln.Addr().String()
	f, err := ln.(*net.TCPListener).File()
	return []*os.File{f}, err
}

// serving returns how many daemons died before the one that serves now.
func (k *keeper) serving(order string) string {
	k.mu.Lock()
	addr := k.addr
	k.mu.Unlock()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, order)
	_ = conn.(*net.TCPConn).CloseWrite()
	said, _ := io.ReadAll(conn)
	return strings.TrimSpace(string(said))
}

func (k *keeper) start() {
	k.t.Helper()
	if err := k.Start(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

// run runs Run until the test ends it; its result comes.
func (k *keeper) run(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	return ended
}

func (k *keeper) await(what string, done func() bool) {
	k.t.Helper()
	if !await(k.t.Context(), 30*time.Second, done) {
		k.t.Fatalf("waited for %s\n%s", what, k.log.String())
	}
}

func serve(int) string { return "serve" }

func TestSupervisorStartsAgain(t *testing.T) {
	k := newKeeper(t, serve)
	k.start()
	ctx, end := context.WithCancel(t.Context())
	ended := k.run(ctx)
	if got := k.serving(""); got != "0" {
		t.Fatalf("at first: %q", got)
	}
	if err := syscall.Kill(k.pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	k.await("the second daemon", func() bool { return k.serving("") == "1" })
	k.serving("panic")
	k.await("the third daemon", func() bool { return k.serving("") == "2" })
	k.await("the log", func() bool { return strings.Count(k.log.String(), "a new daemon serves") == 2 })
	for _, want := range []string{"signal: killed", "exit status 2", "its last words: panic: as ordered", "restarts=2"} {
		if !strings.Contains(k.log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, k.log.String())
		}
	}
	if !strings.Contains(k.stderr.String(), "goroutine ") {
		t.Errorf("what the daemon said was not passed on: %q", k.stderr.String())
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := k.End(); err != nil || k.dropped != 1 {
		t.Errorf("End: %v, dropped %d times", err, k.dropped)
	}
	if len(k.pids) != 3 || k.aborted != 2 {
		t.Errorf("%d daemons, %d aborted", len(k.pids), k.aborted)
	}
	if err := syscall.Kill(k.pids[2], 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the last daemon is left: %v", err)
	}
}

// TestSupervisorGivesUp: pauses as the policy has them, then no more, whether a daemon dies before or
// after it serves.
func TestSupervisorGivesUp(t *testing.T) {
	k := newKeeper(t, func(restarts int) string {
		if restarts == 0 {
			return "serve"
		}
		return "die"
	})
	k.start()
	ended := k.run(t.Context())
	k.serving("panic")
	err := <-ended
	if err == nil || !strings.Contains(err.Error(), "died again after 3 restarts in 1h0m0s") {
		t.Errorf("Run: %v", err)
	}
	if want := "[0s 1s 2s]"; fmt.Sprint(k.pauses) != want {
		t.Errorf("pauses %v, want %v", k.pauses, want)
	}
	if !strings.Contains(k.log.String(), "could not be started again") || !strings.Contains(k.log.String(), "its last words: I die") {
		t.Errorf("log:\n%s", k.log.String())
	}
	if k.dropped > 0 {
		t.Error("the mount was dropped before nobody would replace it")
	}
}

func TestSupervisorFirstStart(t *testing.T) {
	for behave, c := range map[string]struct {
		want string
		code int
	}{
		"refuse": {"the mount point is taken", ExitBadInput},
		"die":    {"the daemon died during its start: exit status 7", ExitFailed},
		"mute":   {"did not report within", ExitFailed},
	} {
		k := newKeeper(t, func(int) string { return behave })
		if behave == "mute" {
			k.Timeout, k.patience = 50*time.Millisecond, 50*time.Millisecond
		}
		err := k.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || ExitCode(err) != c.code {
			t.Errorf("%s: %v (%d)", behave, err, ExitCode(err))
		}
		if len(k.pids) != 1 || k.dropped != 1 {
			t.Errorf("%s: %d daemons, dropped %d times", behave, len(k.pids), k.dropped)
		}
	}
}

func TestSupervisorStartInterrupted(t *testing.T) {
	k := newKeeper(t, func(int) string { return "mute" })
	k.patience = 50 * time.Millisecond
	ctx, end := context.WithCancelCause(t.Context())
	k.Started = func(int) { end(errors.New("terminated")) }
	if err := k.Start(ctx); err == nil || err.Error() != "terminated" {
		t.Errorf("Start: %v", err)
	}
}

// TestSupervisorPlannedEnd: a daemon that ends by itself with 0 meant to.
func TestSupervisorPlannedEnd(t *testing.T) {
	k := newKeeper(t, serve)
	k.start()
	ended := k.run(t.Context())
	if err := syscall.Kill(k.pids[0], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || len(k.pids) != 1 {
		t.Errorf("Run: %v, %d daemons", err, len(k.pids))
	}
}

// TestSupervisorKillsTheHung: a daemon that gives no sign of life is replaced, whether it can't or does
// not want to, after those who wait for its mount are freed; one that beats is left alone.
func TestSupervisorKillsTheHung(t *testing.T) {
	k := newKeeper(t, func(restarts int) string {
		if restarts == 1 {
			return "hang"
		}
		return "serve"
	})
	k.Hung = 2 * time.Second
	k.start()
	ctx, end := context.WithCancel(t.Context())
	ended := k.run(ctx)
	select {
	case err := <-ended:
		t.Fatalf("Run: %v", err)
	case <-time.After(k.Hung + k.Hung/2): // it must last, whatever the load
	}
	k.mu.Lock()
	pids := slices.Clone(k.pids)
	k.mu.Unlock()
	if len(pids) != 1 {
		t.Skip("this machine gives a process no time for seconds") // which the supervisor is right to mind
	}
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	k.await("two daemons to be killed", func() bool { return strings.Count(k.log.String(), "no sign of life") == 2 })
	k.await("the third daemon", func() bool { return k.serving("") == "2" })
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if k.aborted < 2 {
		t.Errorf("aborted %d times", k.aborted)
	}
}

// TestSupervisorOfAStoppedJob: a daemon that dies while the job is being stopped is not missed.
func TestSupervisorOfAStoppedJob(t *testing.T) {
	k := newKeeper(t, serve)
	k.start()
	k.stopping = true
	ended := k.run(t.Context())
	k.serving("panic")
	if err := <-ended; err != nil || len(k.pids) != 1 {
		t.Errorf("Run: %v, %d daemons", err, len(k.pids))
	}
}

// TestSupervisorStoppedMeanwhile: nor does one stay that was started while nobody could tell it.
func TestSupervisorStoppedMeanwhile(t *testing.T) {
	k := newKeeper(t, serve)
	k.start()
	charge := k.Charge
	k.Charge = func(restarts int) any {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.stopping = true
		return charge(restarts)
	}
	ended := k.run(t.Context())
	k.serving("panic")
	if err := <-ended; err != nil || len(k.pids) != 2 {
		t.Errorf("Run: %v, %d daemons", err, len(k.pids))
	}
}

// TestSupervisorKillsTheStubborn, after those who wait for its mount are freed.
func TestSupervisorKillsTheStubborn(t *testing.T) {
	k := newKeeper(t, func(int) string { return "stubborn" })
	k.patience = 100 * time.Millisecond
	k.start()
	if err := k.End(); err != nil || k.aborted != 1 {
		t.Errorf("End: %v, aborted %d times", err, k.aborted)
	}
	if err := syscall.Kill(k.pids[0], 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the daemon is left: %v", err)
	}
}

// TestDaemonOfADeadSupervisor: it notices, though nothing is sent.
func TestDaemonOfADeadSupervisor(t *testing.T) {
	k := newKeeper(t, serve)
	k.start()
	_ = k.current.channel.Close() // as the end of this process would
	if !k.current.endedWithin(10*time.Second) || !k.current.orderly() {
		t.Error("the daemon did not end in order")
	}
}

// TestDeadDaemonDoesNotListen: while there is no daemon, nobody listens in its place.
func TestDeadDaemonDoesNotListen(t *testing.T) {
	k := newKeeper(t, serve)
	k.start()
	if err := syscall.Kill(k.pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-k.current.ended
	if _, err := net.Dial("tcp", k.addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a dead daemon's place: %v", err)
	}
}
