package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/launch"
)

func TestAddressbook(t *testing.T) {
	p := newPlace(t)
	book, bad, nodes := filepath.Join(p.dir, "book"), filepath.Join(p.dir, "bad"), filepath.Join(p.dir, "nodes")
	for path, text := range map[string]string{
		book: "n1 ofi+cxi://0x00916600\nn2 ofi+cxi://0x0060e600\nn3 tcp://10.0.0.3\n", bad: "n1 tcp://1\nn1 tcp://2\n", nodes: "n3.site\nn1.site\nn3.site\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const filtered = "n3 tcp://10.0.0.3\nn1 ofi+cxi://0x00916600\n"
	for _, c := range []struct {
		args []string
		in   string
		env  []string
		code int
		want string
	}{
		{[]string{"check", book}, "", nil, 0, book + ": 3 hosts, endpoints: 1 tcp, 2 ofi+cxi\n"},
		{[]string{"check", bad}, "", nil, 2, "copper: address book " + bad + ", line 2: host n1 has an entry already, in line 1\n"},
		{[]string{"filter", book, "n3", "n1"}, "", nil, 0, filtered},
		{[]string{"filter", book, "--hosts-from", nodes}, "", nil, 0, filtered},
		{[]string{"filter", book}, "", []string{"PBS_JOBID=7.x", "PBS_NODEFILE=" + nodes}, 0, filtered},
		{[]string{"filter", book}, "", []string{"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=n[3,1]"}, 0, filtered},
		{[]string{"filter", book}, "", []string{"SLURM_JOB_ID=7", "SLURM_JOB_NODELIST=n[3,4-5]"}, 2, fmt.Sprintf("copper: address book %s has no line for hosts n4, n5, only for 3 others: take a newer one with -F, or -a discover\n", book)},
		{[]string{"filter", book, "--hosts-from", "-"}, "n3\nn1\n", nil, 0, filtered},
		{[]string{"filter", book, "--hosts-from", "-"}, "\n", nil, 2, "copper: - names no host\n"},
		{[]string{"filter", book}, "", nil, 2, "copper: for which hosts? Name them, or a file with them: --hosts-from FILE\n"},
		{[]string{"filter", book, "n4"}, "", nil, 2, fmt.Sprintf("copper: address book %s has no line for host n4, only for 3 others: take a newer one with -F, or -a discover\n", book)},
		{[]string{"filter", book, "--hosts-from", "none"}, "", nil, 2, "copper: open none: no such file or directory\n"},
	} {
		cmd := p.command(append([]string{"addressbook"}, c.args...)...)
		cmd.Stdin = strings.NewReader(c.in)
		cmd.Env = append(cmd.Env, c.env...)
		code, stdout, stderr := p.run(cmd)
		if code != c.code || stdout+stderr != c.want {
			t.Errorf("%q: exit code %d, %q; want %d, %q", c.args, code, stdout+stderr, c.code, c.want)
		}
	}
}

// TestFacilityJob: a daemon listens where the facility's book says, and the job's own book tells so.
func TestFacilityJob(t *testing.T) {
	p := newPlace(t)
	requireFUSE(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	book := filepath.Join(p.dir, "book")
	content := "elsewhere tcp://10.0.0.1\n" + host + ".hsn.site tcp://127.0.0.1\n"
	if err := os.WriteFile(book, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p.launch("-a", "facility", "-F", book, "--job", "7")
	logs := filepath.Join(p.dir, "jobs", "7", "logs")
	final, err := os.ReadFile(filepath.Join(logs, "copper_address_book.txt"))
	if err != nil || !strings.HasPrefix(string(final), host+" tcp://127.0.0.1:") || strings.Count(string(final), "\n") != 1 {
		t.Errorf("the job's book: %q, %v", final, err)
	}
	if raw, err := os.ReadFile(filepath.Join(logs, "copper_address_book_full_output.txt")); err != nil || string(raw) != content {
		t.Errorf("what it comes from: %q, %v", raw, err)
	}
	p.must("stop")
	p.nothingLeft()
}

// TestFacilityRefused: one clear line, exit 2, nothing started, by launch and by serve; or a warning.
func TestFacilityRefused(t *testing.T) {
	p := newPlace(t)
	requireFUSE(t)
	book := filepath.Join(p.dir, "book")
	for text, want := range map[string]string{
		"elsewhere tcp://10.0.0.1\n": "has no line for host",
		"elsewhere\n":                "line 1: \"elsewhere\" has no endpoint",
		"":                           "has no line for host",
	} {
		if err := os.WriteFile(book, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"launch", "serve"} {
			code, stdout, stderr := p.copper(command, "--target", p.target, "-v", p.mount, "-a", "facility", "-F", book)
			if code != 2 || !strings.HasPrefix(stderr, "copper: address book "+book) || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s with %q: exit code %d\n%s%s", command, text, code, stdout, stderr)
			}
		}
	}
	p.nothingLeft()
	code, _, stderr := p.copper("launch", "--target", p.target, "-v", p.mount, "-a", "facility", "-n", "cxi3", "--fallback", "-F", book, "--job", "7")
	t.Cleanup(func() { p.copper("stop") })
	if code != 0 || strings.Count(stderr, "warning") != 1 || !strings.Contains(stderr, "warning: network cxi3: ") || !strings.Contains(stderr, ": all nodes use TCP instead, over the interfaces that each has") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if !strings.Contains(p.logs(), "network cxi3") {
		t.Errorf("the log says nothing:\n%s", p.logs())
	}
}

// TestServiceCores: supervisor and daemon with all of their threads keep to the cores, after a restart too.
func TestServiceCores(t *testing.T) {
	p := newPlace(t)
	p.launch("-b", "0", "--job", "7")
	bound := func(pid int) {
		t.Helper()
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) < 2 {
			t.Fatalf("%d threads, %v", len(threads), err)
		}
		for _, path := range threads {
			status, err := os.ReadFile(path)
			if err == nil && !strings.Contains(string(status), "Cpus_allowed_list:\t0\n") {
				t.Errorf("%s:\n%s", path, status)
			}
		}
	}
	n := p.status().Nodes[0]
	bound(n.Supervisor)
	bound(n.PID)
	kill(t, n.PID, 9)
	await(t, "a new daemon's mount", func() bool {
		got, err := p.read("sub/file")
		return got == "content" && err == nil && p.status().Nodes[0].PID != n.PID
	})
	bound(p.status().Nodes[0].PID)
	for _, command := range []string{"launch", "serve"} {
		code, _, stderr := p.copper(command, "--target", p.target, "-v", p.mount+"2", "-b", "0,4095", "--job", "8")
		if code != 2 || !strings.Contains(stderr, "this node has no core 4095, only ") {
			t.Errorf("%s: exit code %d: %s", command, code, stderr)
		}
	}
}

// TestFacilityLacksHosts: of a job, all hosts are looked for in the book before one daemon is started.
func TestFacilityLacksHosts(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book")
	if err := os.WriteFile(book, []byte("n1 tcp://127.0.0.1\nn2 tcp://127.0.0.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := parse(t, "launch", "-a", "facility", "-F", book).Launch
	for hosts, want := range map[string]string{"n2.site n1": "", "n1 n8 n2 n9": "has no line for hosts n8, n9, only for 2 others"} {
		err := c.preview(io.Discard, "", strings.Fields(hosts))
		if want == "" && err != nil || want != "" && (launch.ExitCode(err) != launch.ExitBadInput || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", hosts, err, want)
		}
	}
	if err := c.preview(io.Discard, "", nil); err != nil {
		t.Errorf("this host alone: %v", err)
	}
}
