package launch

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"testing"
)

// TestInterruptible: what is done ends with the first signal, whose number is in the exit code; what is ignored stays so.
func TestInterruptible(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		if signal.Ignored(sig) { // by who runs this test
			continue
		}
		never := make(chan error)
		err := Interruptible(t.Context(), "do this", func() error {
			if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
				return err
			}
			return <-never
		})
		if ExitCode(err) != code || err.Error() != "interrupted; do this" || !IsInterrupted(err) {
			t.Errorf("%v: %v (%d), want exit code %d", sig, err, ExitCode(err), code)
		}
		never <- nil // let it end
	}
	why := errors.New("why")
	if err := Interruptible(t.Context(), "", func() error { return why }); !errors.Is(err, why) {
		t.Errorf("what failed by itself: %v", err)
	}
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Ignore(syscall.SIGHUP)
		defer signal.Reset(syscall.SIGHUP)
	}
	ctx, stop := UntilInterrupted(t.Context())
	defer stop()
	if !signal.Ignored(syscall.SIGHUP) {
		t.Error("SIGHUP is not ignored any more")
	}
	stop()
	if !errors.Is(context.Cause(ctx), context.Canceled) || IsInterrupted(context.Cause(ctx)) {
		t.Error(context.Cause(ctx))
	}
}
