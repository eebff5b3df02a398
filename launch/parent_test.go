package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestWatchParent: a process whose parent is killed hears of it; this test is the parent's parent.
func TestWatchParent(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The shell is the launcher; its child says who it is, and then that its parent is gone.
	cmd := exec.Command("sh", "-c", `"$0" orphan & wait`, program)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, _ := out.Read(line)
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	_ = cmd.Process.Kill()
	n, _ = out.Read(line) // the pipe's end if the child dies without a word
	if got := string(line[:n]); got != "gone\n" {
		t.Errorf("the child says %q", got)
	}
	_ = cmd.Wait()
}

// orphanFixture is the child.
func orphanFixture() {
	parent := ThisParent()
	fmt.Println(os.Getpid())
	parent.Watch(context.Background(), func() { fmt.Println("gone") })
	os.Exit(0)
}

// TestParentThatMayLeave: that is one of this program itself, and no other.
func TestParentThatMayLeave(t *testing.T) {
	if !sameProgram(os.Getpid()) || sameProgram(os.Getppid()) {
		t.Error("programs are not told apart")
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	for _, p := range []Parent{{}, {os.Getppid()}} {
		p.Watch(ctx, func() { t.Errorf("%+v is taken for gone", p) })
	}
}
