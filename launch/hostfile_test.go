package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// largest are host names as the largest machine has them.
func largest() (hosts []string) {
	for i := range 10_624 {
		hosts = append(hosts, fmt.Sprintf("x%dc%ds%db%dn0.hostmgmt%d.cm.example", 4000+i/128, i/16%8, i/2%8, i%2, 2000+i/128))
	}
	return hosts
}

// recorder is a launcher that writes down its arguments and what each file among them holds, and waits.
const recorder = `#!/bin/sh
printf '%s\n' "$@" >"$0.args"
for arg; do
	file=${arg#--nodelist=}
	[ ! -f "$file" ] || cp "$file" "$0.hosts"
done
echo '{"version":1,"id":"7","state":"failed","error":"recorded","ranks":[]}' >"$JOB/job.json"
`

// TestManyHosts: a job of all hosts of the largest machine can be started, by each launcher, and so can a step that
// ends what a part of it left.
func TestManyHosts(t *testing.T) {
	hosts := largest()
	for name, c := range map[string]struct {
		launcher func(path string) Launcher
		option   string
		part     bool
	}{
		"hydra":    {func(p string) Launcher { return Hydra{p} }, "-f", false},
		"Open MPI": {func(p string) Launcher { return OpenMPI{p} }, "--hostfile", false},
		"PALS":     {func(p string) Launcher { return PALS{p} }, "--hostfile", false},
		"srun":     {func(p string) Launcher { return Srun{p, "pmi2"} }, "", false}, // it takes what the job has
		"a part":   {func(p string) Launcher { return Srun{p, "pmi2"} }, "--nodelist=", true},
	} {
		h := newHouse(t)
		h.ID = "7"
		dir := JobDirOf(h.Base, "7")
		program := filepath.Join(t.TempDir(), "launcher")
		if err := os.WriteFile(program, []byte(recorder), 0o755); err != nil {
			t.Fatal(err)
		}
		command := c.launcher(program).Command(Step{Ranks: len(hosts), Hosts: hosts, Part: c.part, Program: "copper", Args: []string{"serve"}, HostFile: dir.HostFile()})
		command.Env = append(command.Env, "JOB="+string(dir))
		s := &Start{Finder: h.Finder, Command: command, Timeout: time.Minute, Mounts: noMounts, Progress: &Progress{Out: &strings.Builder{}}}
		if _, err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "recorded") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		args, err := os.ReadFile(program + ".args")
		if err != nil || len(args) > mostNamed {
			t.Errorf("%s: %d bytes of arguments, %v", name, len(args), err)
		}
		named := strings.Contains(string(args), strings.TrimSuffix(c.option, "=")+"\n"+dir.HostFile()+"\n") || strings.Contains(string(args), "\n"+c.option+dir.HostFile()+"\n")
		if named != (c.option != "") {
			t.Errorf("%s: want %s, arguments:\n%s", name, c.option, args)
		}
		if c.option == "" {
			continue
		}
		got, err := os.ReadFile(program + ".hosts")
		if err != nil || string(got) != strings.Join(hosts, "\n")+"\n" {
			t.Errorf("%s: %d bytes of hosts, %v", name, len(got), err)
		}
		if len(command.String()) > mostNamed {
			t.Errorf("%s: what is printed has %d bytes", name, len(command.String()))
		}
	}
}

func TestWithout(t *testing.T) {
	a := Allocation{Scheduler: Slurm, ID: "7", Hosts: []string{"n1", "n2.cm", "n3", "n4"}}
	for list, want := range map[string]string{"": "n1 n2.cm n3 n4", "n2": "n1 n3 n4", "n[3-4],n2.cm": "n1"} {
		got, err := a.Without(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v; want %s", list, got, err, want)
		}
	}
	for list, want := range map[string]string{
		"n9": "n9 is no host of Slurm's job 7, which has n1, n2.cm, n3 and 1 more", "n[1-4]": "no host of Slurm's job 7 is left", "n[": "a [ without ]",
	} {
		if _, err := a.Without(list); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", list, err, want)
		}
	}
	if _, err := (Allocation{}).Without("n1"); ExitCode(err) != ExitBadInput {
		t.Errorf("without a scheduler: %v", err)
	}
	if len(a.Hosts) != 4 {
		t.Error("the allocation has changed")
	}
}
