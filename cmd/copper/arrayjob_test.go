package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/launch"
)

// TestArrayJob: the id of a PBS array job has brackets. It is found by its daemons and by what they leave.
func TestArrayJob(t *testing.T) {
	p := newPlace(t)
	const id = "4711[7]"
	p.launch("--job", id)
	if s := p.status(); s.Job != id || len(s.Nodes) != 1 {
		t.Errorf("status: %+v", s)
	}
	code, stdout, stderr := p.copper("stop", "--job", id)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "job "+id+" stopped: 1 of 1 nodes told") {
		t.Errorf("stop: exit code %d: %s%s", code, stdout, stderr)
	}
	p.nothingLeft()

	p.launch("--job", id)
	n := p.status().Nodes[0]
	kill(t, n.Supervisor, 9)
	kill(t, n.PID, 9)
	if _, _, stderr := p.copper("stop", "--job", id); !strings.Contains(stderr, "unmounted "+p.mount+", left by rank 0 of job "+id) {
		t.Errorf("stop after it was killed: %s", stderr)
	}
	p.nothingLeft()
	if left, err := os.Lstat(filepath.Join(launch.ControlBases()[0], id)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v, %v", left, err)
	}
}
