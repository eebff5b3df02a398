package mpiboot

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultBound = 5 * time.Minute
	cleanupBound = 10 * time.Second
)

// watch ends the process when a call that waits for other ranks takes too long, or when a signal
// asks for it meanwhile. MPI cannot be interrupted: exiting is the only way out.
type watch struct {
	bound   time.Duration
	cleanup func() // may be nil
	who     string // this process, for the last words
	stderr  io.Writer
	exit    func(code int)
}

func newWatch(who string) *watch {
	return &watch{bound: defaultBound, who: who, stderr: os.Stderr, exit: os.Exit}
}

// over runs f and watches over it; what says what f waits for.
func (w *watch) over(what string, f func()) {
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		// Notify would switch a signal on that nohup or a shell had switched off.
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		timer := time.NewTimer(w.bound)
		defer timer.Stop()
		select {
		case <-stop:
		case <-timer.C:
			w.end(1, fmt.Sprintf("gave up after %v of waiting for %s", w.bound, what))
		case s := <-signals:
			number, _ := s.(syscall.Signal)
			w.end(128+int(number), fmt.Sprintf("%s while waiting for %s", unix.SignalName(number), what))
		}
	}()
	defer func() {
		signal.Stop(signals)
		close(stop)
		<-stopped
	}()
	f()
}

// end says why, cleans up for a bounded time, and exits.
func (w *watch) end(code int, why string) {
	fmt.Fprintf(w.stderr, "%s: %s\n", w.who, why)
	if w.cleanup != nil {
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.cleanup()
		}()
		select {
		case <-done:
		case <-time.After(cleanupBound):
			fmt.Fprintf(w.stderr, "%s: cleaning up took more than %v: left as it is\n", w.who, cleanupBound)
		}
	}
	w.exit(code)
}
