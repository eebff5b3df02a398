package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStopFreesMount: a dead mount of whose job nothing is known any more is taken away where -v says. A mount
// that lives stays.
func TestStopFreesMount(t *testing.T) {
	p := newPlace(t)
	p.launch("--job", "lost")
	if code, _, stderr := p.copper("stop", "--job", "other", "-v", p.mount); code == 0 || !strings.Contains(stderr, "lost") {
		t.Errorf("the mount of another job: exit code %d: %s", code, stderr)
	}
	if got, err := p.read("sub/file"); got != "content" || err != nil {
		t.Errorf("after it: %q, %v", got, err)
	}
	n := p.status().Nodes[0]
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} { // neither notices the other's end
		kill(t, n.Supervisor, sig)
		kill(t, n.PID, sig)
	}
	await(t, "the end of the daemon", func() bool { return arguments(n.Supervisor) == "" && arguments(n.PID) == "" })
	for _, dir := range []string{filepath.Join(p.dir, "jobs"), fmt.Sprintf("/tmp/copper-%d/lost", os.Getuid())} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := p.copper("stop", "-v", p.mount); code != 1 || !strings.Contains(stderr, "a killed daemon's mount was taken away: "+p.mount) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if info, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(info), p.mount) {
		t.Errorf("still mounted: %v", err)
	}
}
