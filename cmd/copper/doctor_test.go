package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/launch"
)

// doctor runs copper doctor --json. What it says of other jobs on this machine is none of a test's.
func (p *place) doctor(args ...string) launch.Diagnosis {
	p.t.Helper()
	code, stdout, stderr := p.copper(append([]string{"doctor", "--json"}, args...)...)
	var d launch.Diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		p.t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if failed := d.Problems > 0; d.Version != 1 || d.Host == "" || code != map[bool]int{true: 1}[failed] {
		p.t.Errorf("exit code %d for %+v", code, d)
	}
	return d
}

// found tells whether a check found something at that level, with those words.
func found(d launch.Diagnosis, check string, level launch.Level, words string) bool {
	for _, f := range d.Findings {
		if f.Check == check && f.Level == level && strings.Contains(f.Found+" -> "+f.Advice, words) {
			return true
		}
	}
	return false
}

// TestDoctor: every check has its say, without a job, with one, and with one that hangs; what hangs holds
// up nothing.
func TestDoctor(t *testing.T) {
	p := newPlace(t)
	requireFUSE(t)
	before, _ := filepath.Glob(launch.Trial + "*")
	d := p.doctor(p.target)
	said := map[string]bool{}
	for _, f := range d.Findings {
		said[f.Check] = true
	}
	for _, c := range checks {
		if !said[c.name] {
			t.Errorf("check %s says nothing", c.name)
		}
	}
	for check, words := range map[string]string{"device": "can be opened", "kernel": "a trial mount works: READs of up to ", "job": "no Copper job is running", "path": p.target} {
		if !found(d, check, launch.Fine, words) {
			t.Errorf("%s does not say %q: %+v", check, words, d.Findings)
		}
	}
	if after, _ := filepath.Glob(launch.Trial + "*"); len(after) > len(before) {
		t.Errorf("left: %q", after)
	}

	p.launch()
	d = p.doctor(filepath.Join(p.mount, "sub"))
	if !found(d, "job", launch.Fine, "1 of 1 nodes answer") || !found(d, "mounts", launch.Fine, p.mount+", rank 0 of job ") {
		t.Errorf("with a job: %+v", d.Findings)
	}
	if !found(d, "path", launch.Problem, "name the path without the mount: /sub") {
		t.Errorf("of a path in the mount: %+v", d.Findings)
	}
	node := p.status().Nodes[0]
	if k := node.Kernel; k.Release == "" || len(k.Features) == 0 || !found(d, "kernel", launch.Fine, k.Release+", FUSE "+k.Protocol+";") {
		t.Errorf("the mount's kernel is %+v, and doctor says %+v", k, d.Findings)
	}
	pid := node.PID
	kill(t, pid, syscall.SIGSTOP)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	d = p.doctor(filepath.Join(p.mount, "sub"))
	for _, check := range []string{"mounts", "job"} {
		if !found(d, check, launch.Problem, fmt.Sprintf("process %d is stopped -> ", pid)) {
			t.Errorf("%s of a stopped daemon: %+v", check, d.Findings)
		}
	}
	kill(t, pid, syscall.SIGCONT)
	if text, err := exec.Command(program, "doctor", "--dir", filepath.Join(p.dir, "jobs")).Output(); !strings.Contains(string(text), "1 of 1 nodes answer\n") {
		t.Errorf("as text: %v\n%s", err, text)
	}
	p.must("stop")
}

func TestDoctorUsage(t *testing.T) {
	p := newPlace(t)
	for _, args := range [][]string{{"doctor", "--job", "a/b"}, {"doctor", "/a", "/b"}, {"check", "bogus"}} {
		if code, _, stderr := p.copper(args...); code != 2 {
			t.Errorf("copper %q: exit code %d\n%s", args, code, stderr)
		}
	}
}
