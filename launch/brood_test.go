package launch

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLauncherLeavesProcesses: what a launcher has started ends with it, even in a session of its own.
func TestLauncherLeavesProcesses(t *testing.T) {
	h := newHouse(t)
	noted := filepath.Join(string(JobDirOf(h.Base, "7")), "left")
	left := 0
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		await(ctx, time.Minute, func() bool {
			b, err := os.ReadFile(noted)
			if err == nil && strings.HasSuffix(string(b), "\n") {
				left, err = strconv.Atoi(strings.TrimSpace(string(b)))
			}
			return err == nil && left > 0
		})
		cancel(&interrupted{signal: syscall.SIGINT})
	}()
	_, out, err := h.start(ctx, `setsid sh -c 'echo $$ >"$DIR/left"; exec sleep 600' & exec sleep 600`, time.Minute)
	if ExitCode(err) != 130 {
		t.Error(err)
	}
	h.ended()
	if left == 0 {
		t.Fatal("it has started nothing")
	}
	if p := readProcess(left); p != nil && p.args[0] == "sleep" && !await(t.Context(), time.Minute, func() bool { return readProcess(left) == nil }) {
		_ = syscall.Kill(left, syscall.SIGKILL)
		t.Errorf("process %d still runs; said: %s", left, out)
	}
}
