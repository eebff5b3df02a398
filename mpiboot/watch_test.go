package mpiboot

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// held runs a watch over a call that returns only when the watch has ended the process.
func held(t *testing.T, w *watch, meanwhile func()) (code int, text string) {
	t.Helper()
	var out bytes.Buffer
	exited := make(chan int, 1)
	w.stderr, w.exit = &out, func(code int) { exited <- code }
	w.over("the others", func() {
		meanwhile()
		code = <-exited
	})
	return code, out.String()
}

func TestWatchEndsAProcessThatWaitsTooLong(t *testing.T) {
	cleaned := false
	w := newWatch("n1 (rank 1 of 4)")
	w.cleanup = func() { cleaned = true }
	Bound(time.Millisecond)(w)
	code, text := held(t, w, func() {})
	if code != 1 || text != "n1 (rank 1 of 4): gave up after 1ms of waiting for the others\n" {
		t.Errorf("exit %d, %q", code, text)
	}
	if !cleaned {
		t.Error("the cleanup did not run")
	}
}

func TestWatchEndsAProcessOnSIGTERM(t *testing.T) {
	w := newWatch("n1")
	Bound(0)(w)
	code, text := held(t, w, func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	if code != 143 || !strings.Contains(text, "n1: SIGTERM while waiting for the others") {
		t.Errorf("exit %d, %q", code, text)
	}
	if w.bound != defaultBound {
		t.Errorf("bound of %v, want the default", w.bound)
	}
}

func TestWatchLetsAQuickCallPass(t *testing.T) {
	w := newWatch("n1")
	w.exit = func(code int) { t.Errorf("exit %d", code) }
	ran := false
	w.over("nobody", func() { ran = true })
	if !ran {
		t.Error("the call did not run")
	}
}
