package launch

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// interrupted is the end by a signal.
type interrupted struct {
	signal syscall.Signal
	left   string // what that leaves, and what to do; "" for nothing
}

func (e *interrupted) Error() string {
	if e.left != "" {
		return "interrupted; " + e.left
	}
	return "interrupted"
}

// IsInterrupted tells whether err is the end by a signal.
func IsInterrupted(err error) bool {
	var e *interrupted
	return errors.As(err, &e)
}

// UntilInterrupted is ctx until somebody interrupts this process; the cause says so then. Further signals change
// nothing: what ends in order because of the first one has bounds. stop is to be called at the end.
func UntilInterrupted(ctx context.Context) (until context.Context, stop func()) {
	until, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as by nohup, or of a script's commands in the background
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			cancel(&interrupted{signal: s.(syscall.Signal)})
		case <-until.Done():
		}
	}()
	return until, func() {
		cancel(nil)
		signal.Stop(signals)
	}
}

// Interruptible does what may be left at any time: when somebody interrupts this process, it returns at once, with an
// error that says what is left. The process is to end then.
func Interruptible(ctx context.Context, left string, do func() error) error {
	ctx, stop := UntilInterrupted(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	err := context.Cause(ctx)
	var e *interrupted
	if errors.As(err, &e) {
		return &interrupted{signal: e.signal, left: left}
	}
	return err
}
