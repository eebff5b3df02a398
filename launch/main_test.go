package launch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "probe" { // Probe starts the program that it is given
		probeFixture(os.Args[len(os.Args)-1])
	}
	if len(os.Args) > 1 && os.Args[1] == "daemon" { // and a Supervisor too
		daemonFixture()
	}
	if len(os.Args) > 1 && os.Args[1] == "exam" { // and Examine
		examFixture(os.Args[len(os.Args)-1])
	}
	if len(os.Args) > 1 && os.Args[1] == "orphan" {
		orphanFixture()
	}
	goleak.VerifyTestMain(m)
}

// probeFixture behaves as the name of the mount asks.
func probeFixture(point string) {
	switch filepath.Base(point) {
	case "dead":
		os.Exit(LookExitCode(ErrDead))
	case "hung":
		time.Sleep(time.Hour)
	case "failing":
		fmt.Fprintln(os.Stderr, "no answer")
		os.Exit(1)
	}
	os.Exit(0)
}

var discard = slog.New(slog.DiscardHandler)

func context10s(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// fakeServe is a process that looks like a daemon of job id to /proc.
func fakeServe(t *testing.T, id string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "read line", "serve", "--job", id)
	stdin, err := cmd.StdinPipe() // it ends when this does
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	// Start returns a moment before the kernel shows the arguments.
	if !await(t.Context(), killBound, func() bool { return serves(cmd.Process.Pid, id, 0) }) {
		t.Fatal("a process does not look as it should")
	}
	return cmd
}

// shortDir is a private directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// noMounts is a node without mounts.
var noMounts = Mounts{
	Type:    func(string) (string, error) { return "", nil },
	Probe:   func(context.Context, string) error { return nil },
	Unmount: func(context.Context, string) error { return nil },
}
