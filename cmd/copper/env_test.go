package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/launch/route"
	"github.com/copper-hpc/copper/launch/route/advise"
)

// TestEnv: what is printed is for eval, what is said is not; no job is needed where the mount is named.
func TestEnv(t *testing.T) {
	p := newPlace(t)
	odd := filepath.Join(p.dir, `it's $(touch pwned) "odd"`)
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := p.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-euc", `eval "$("$0" env -v /mnt/c --pythonpath "$1")"; printf %s "$PYTHONPATH"; printenv PYTHONPATH`, program, odd}
	cmd.Env = append(cmd.Env, "SHELL=/bin/tcsh", "PYTHONPATH=/kept")
	value := "/mnt/c" + odd + ":/kept"
	if code, stdout, stderr := p.run(cmd); code != 0 || stdout != value+value+"\n" {
		t.Errorf("exit code %d: %q, want %q\n%s", code, stdout, value, stderr)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "pwned")); err == nil {
		t.Error("a name was run")
	}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"-v", "/mnt/c", "--pythonpath", "nope", "--ld", "nor this"}, 2, "false;\n", "nope does not exist"},
		{[]string{"-v", "/mnt/c", "--pythonpath", ""}, 2, "false;\n", "--pythonpath is empty"},
		{[]string{"-v", "/mnt/c"}, 2, "false;\n", "name what is to go through the mount"},
		{[]string{"-v", "/mnt/c-{rank}", "--pythonpath", p.target}, 2, "false;\n", "put its number in place of {rank}"},
		{[]string{"-v", "/mnt/c", "--shell", "cmd.exe", "--pythonpath", p.target}, 2, "false;\n", "--shell=cmd.exe"},
		{[]string{"-v", "/mnt/c", "--file", p.target, "--pythonpath", p.target}, 2, "", "one after the other"},
		{[]string{"-v", "/mnt/c", "--undo", "--pythonpath", p.target}, 2, "false;\n", "--undo takes no paths"},
		{[]string{"-v", "/mnt/c", "--conda", p.target, "--conda", p.target}, 2, "false;\n", "one environment can be active"},
		{[]string{"--pythonpath", p.target}, 1, "false;\n", "-v DIR names the mount before there is one"},
		{[]string{"-v", "/mnt/c", "--file", "/proc/self/status"}, 2, "", "shows the state of this machine"},
		{[]string{"-v", "/mnt/c", "--shell", "tcsh", "--path", filepath.Join(p.target, "sub")}, 0, "setenv PATH '/mnt/c" + p.target + "/sub:", "PATH is needed only if the binary itself"},
		{[]string{"-v", "/mnt/c", "--target", p.target, "--file", filepath.Join(p.target, "sub/file")}, 0, "/mnt/c/sub/file\n", ""},
		{[]string{"-v", "/mnt/c", "--undo"}, 0, "", ""},
	} {
		code, stdout, stderr := p.copper(append([]string{"env"}, c.args...)...)
		if code != c.code || !strings.HasPrefix(stdout, c.stdout) || c.stdout == "" && stdout != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%q: exit code %d, want %d\n%q, want %q\n%s\nwant %s", c.args, code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
	}
	var plan route.Plan
	if err := json.Unmarshal([]byte(p.must("env", "-v", "/mnt/c", "--json", "--ld", p.target)), &plan); err != nil {
		t.Fatal(err)
	}
	if plan.Version != 1 || plan.Mount != "/mnt/c" || len(plan.Assign) != 1 || plan.Assign[0].Value != "/mnt/c"+p.target || len(plan.Remarks) == 0 {
		t.Errorf("%+v", plan)
	}
}

// TestEnvOfJob: the running job says which mount, and what it shows.
func TestEnvOfJob(t *testing.T) {
	p := newPlace(t)
	p.launch()
	if got, want := p.must("env", "--file", filepath.Join(p.target, "sub/file")), filepath.Join(p.mount, "sub/file")+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := p.must("env", "--file", filepath.Join(p.mount, "sub")); got != filepath.Join(p.mount, "sub")+"\n" {
		t.Errorf("below the mount already: %q", got)
	}
	code, _, stderr := p.copper("env", "--file", p.dir)
	if code != 2 || !strings.Contains(stderr, "not below "+p.target) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestAdvise: the command keeps its streams and its exit code; the advice goes elsewhere.
func TestAdvise(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil && os.Getenv("COPPER_REQUIRE_FUSE") != "1" {
		t.Skip(err)
	}
	p := newPlace(t)
	cmd := p.command("advise", "--local", "--", "sh", "-c", `cat; cat "$1"/sub/file >copy; echo to stderr >&2; exit 5`, "sh", p.target)
	cmd.Stdin = strings.NewReader("through stdin")
	code, stdout, stderr := p.run(cmd)
	if code != 5 || stdout != "through stdin" || !strings.HasPrefix(stderr, "to stderr\ncopper advise: ") || !strings.Contains(stderr, "Written to, so never route it:\n  "+p.dir+" (1 file)") {
		t.Errorf("exit code %d, %q\n%s", code, stdout, stderr)
	}
	report := filepath.Join(p.dir, "report.json")
	if code, stdout, stderr := p.copper("advise", "--json", "--output", report, "cat", "/dev/null"); code != 0 || stdout+stderr != "" {
		t.Errorf("exit code %d, %q\n%s", code, stdout, stderr)
	}
	var r advise.Report
	content, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil || r.Version != 1 || r.Operations == 0 || r.Command[0] != "cat" {
		t.Errorf("%v\n%s", err, content)
	}
	for _, args := range [][]string{{"--"}, {"--", "no-such-command"}, {}} {
		if code, _, stderr := p.copper(append([]string{"advise"}, args...)...); code != 2 || stderr == "" {
			t.Errorf("%q: exit code %d\n%s", args, code, stderr)
		}
	}
}
