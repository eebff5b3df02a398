package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUsage: what can't be understood is told with the usage, exit 2.
func TestUsage(t *testing.T) {
	p := newPlace(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{}, "expected one of"},
		{[]string{"mount"}, "unexpected argument mount"},
		{[]string{"--bogus"}, "unknown flag --bogus"},
		{[]string{"serve", "--bogus"}, "unknown flag --bogus"},
		{[]string{"launch", "-l", "6"}, "want 0 to 5"},
		{[]string{"launch", "-l", "much"}, "expected a valid 64 bit int"},
		{[]string{"launch", "-t", "nowhere"}, "must be one of"},
		{[]string{"launch", "--enoent-ms=-1"}, "want 0 or more"},
		{[]string{"launch", "--trees=-1"}, "want 0 or more"},
		{[]string{"launch", "--fanout", "1"}, "want 2 or more"},
		{[]string{"launch", "--memory", "lots"}, "not a size"},
		{[]string{"launch", "--memory", "1MiB"}, "want at least 32.0 MiB"},
		{[]string{"launch", "--nodes", "0"}, "want 1 or more"},
		{[]string{"launch", "--allow", "lus/env"}, `--allow: "lus/env" is not an absolute path`},
		{[]string{"launch", "--timeout", "0s"}, "want more than 0"},
		{[]string{"launch", "-n", "udp"}, "want tcp"},
		{[]string{"launch", "-n", "cxi9", "--fallback"}, "want tcp"},
		{[]string{"serve", "-n", "ofi+cxi://0x00916600"}, "want tcp"},
		{[]string{"launch", "-n", "ofi+udp://"}, "want tcp"},
		{[]string{"doctor", "-n", "cxi://hsn0"}, "want tcp"},
		{[]string{"doctor", "--job", "a/b"}, "job id"},
		{[]string{"launch", "-M", "much"}, "not a size"},
		{[]string{"launch", "-b", "4-2"}, "not a list of cores such as 48,49 or 48-51"},
		{[]string{"launch", "-a", "guess"}, "--addresses must be one of"},
		{[]string{"launch", "--sleep=-1"}, "want 0 or more"},
		{[]string{"launch", "--site", "moon"}, "--site=moon: want aurora, frontier, local"},
		{[]string{"launch", "--profile-top=-1"}, "want 0 to"},
		{[]string{"launch", "--nodes", "2", "--exclude", "n1"}, "all daemons are on this host"},
		{[]string{"wait", "--pid", "x"}, "expected a valid 64 bit int"},
		{[]string{"wait", "--pid=-1"}, "want the id of a process"},
		{[]string{"wait", "--timeout", "0s"}, "want more than 0"},
		{[]string{"addressbook", "make", "-n", "udp"}, "is made for"},
		{[]string{"launch", "--compress", "gzip"}, `--compress must be one of "auto","off","s2","zstd" but got "gzip"`},
		{[]string{"launch", "--profile-top=-1"}, "want 0 to 100000"},
		{[]string{"launch", "-I", "x"}, "expected a valid 64 bit int"},
		{[]string{"launch", "--kernel-cache", "some"}, "must be one of"},
		{[]string{"profile", "report", "/", "../x"}, "want the beginning of a file's name"},
		{[]string{"profile", "paths", "/", "--usage-root", "x"}, "want an absolute path"},
		{[]string{"launch", "--job", "../x"}, "job id"},
		{[]string{"status", "--job", "a/b"}, "job id"},
		{[]string{"status", "surplus"}, "unexpected argument surplus"},
		{[]string{"status", "--watch=soon"}, "want a time from"},
		{[]string{"status", "--watch=-1s"}, "want a time from"},
		{[]string{"status", "--watch", "--csv"}, "want one of them"},
		{[]string{"launch", "--prometheus", "host"}, "want a port, or ADDRESS:PORT"},
		{[]string{"launch", "--prometheus-textfile", "/tmp/copper.txt"}, "ends with .prom"},
		{[]string{"launch", "--prometheus-textfile", "copper.prom"}, "want an absolute path"},
	} {
		code, stdout, stderr := p.copper(c.args...)
		if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "Usage: copper") || !strings.Contains(stderr, c.want) {
			t.Errorf("copper %q: exit code %d, want 2, the usage and %q\n%s%s", c.args, code, c.want, stdout, stderr)
		}
	}
	for variable, want := range map[string]string{"COPPER_LOG_LEVEL=9": "want 0 to 5", "COPPER_COMPRESS=gzip": "must be one of", "COPPER_JOB=a/b": "job id", "COPPER_NET=udp": "want tcp"} {
		cmd := p.command("launch")
		cmd.Env = append(cmd.Env, variable)
		if code, _, stderr := p.run(cmd); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s", variable, code, stderr)
		}
	}
	p.nothingLeft()
}

func TestHelp(t *testing.T) {
	p := newPlace(t)
	if help := p.must("--help"); !strings.Contains(help, "Exit codes: 0 done; 1 failed; 2 bad input") || strings.Contains(help, "probe") {
		t.Errorf("help:\n%s", help)
	}
	if help := p.must("serve", "--help"); !strings.Contains(help, "$COPPER_ENOENT_MS") {
		t.Errorf("help of serve:\n%s", help)
	}
	if version := p.must("version"); !strings.Contains(version, "MPI: none") {
		t.Errorf("version: %s", version)
	}
}

// TestBadPlaces: one clear line, exit 2, nothing mounted, nothing left, by launch and by serve.
func TestBadPlaces(t *testing.T) {
	requireFUSE(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, c := range map[string]struct {
		args func(p *place) []string
		want string
	}{
		"no target":         {func(p *place) []string { return []string{"--target", p.dir + "/none"} }, "/none: no such file or directory"},
		"target is a file":  {func(p *place) []string { return []string{"--target", p.target + "/sub/file"} }, "is not a directory"},
		"{rank} in target":  {func(p *place) []string { return []string{"--target", p.dir + "/node{rank}"} }, "/node0: no such file"},
		"mount is a file":   {func(p *place) []string { return []string{"-v", p.target + "/sub/file"} }, "not a directory"},
		"mount is full":     {func(p *place) []string { return []string{"-v", p.target} }, "not empty"},
		"mount is taken":    {func(p *place) []string { return []string{"-v", "/proc"} }, "is a mount already"},
		"mount in a file":   {func(p *place) []string { return []string{"-v", p.target + "/sub/file/mnt"} }, "not a directory"},
		"port in use":       {func(*place) []string { return []string{"-n", "tcp://" + taken.Addr().String()} }, "address already in use"},
		"address elsewhere": {func(*place) []string { return []string{"-n", "tcp://192.0.2.77"} }, "cannot assign requested address"},
		"no CXI":            {func(*place) []string { return []string{"-n", "cxi"} }, "network cxi: "},
		"no such device":    {func(*place) []string { return []string{"-n", "cxi://cxi3"} }, ": take -n tcp://hsn3 or, for all interfaces, -n tcp (or --fallback, which does)"},
		"no directory":      {func(p *place) []string { return []string{"-d", p.target + "/sub/file"} }, "not a directory"},
	} {
		for _, subcommand := range []string{"launch", "serve"} {
			p := newPlace(t)
			args := append([]string{subcommand, "--target", p.target, "-v", p.mount}, c.args(p)...)
			code, stdout, stderr := p.copper(args...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			last := lines[len(lines)-1]
			if code != 2 || stdout != "" || !strings.HasPrefix(last, "copper: ") || !strings.Contains(last, c.want) || strings.Count(stderr, "copper: ") != 1 {
				t.Errorf("%s, %s: exit code %d, want 2 and one line with %q\n%s%s", name, subcommand, code, c.want, stdout, stderr)
			}
			p.nothingLeft()
		}
	}
}

func TestNodesWithoutMPI(t *testing.T) {
	p := newPlace(t)
	code, _, stderr := p.copper("launch", "--nodes", "2", "--target", p.target)
	if code != 2 || !strings.Contains(stderr, "built without MPI") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	cmd := p.command("serve", "--target", p.target, "-v", p.mount)
	cmd.Env = append(cmd.Env, "OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0")
	if code, _, stderr := p.run(cmd); code != 2 || !strings.Contains(stderr, "without MPI") {
		t.Errorf("serve: exit code %d: %s", code, stderr)
	}
	p.nothingLeft()
}

// TestDaemonByHand: a daemon is nothing that people start.
func TestDaemonByHand(t *testing.T) {
	p := newPlace(t)
	if code, _, stderr := p.copper("daemon", "--job", "7"); code != 2 || !strings.Contains(stderr, "is started by copper serve") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestNoJob(t *testing.T) {
	p := newPlace(t)
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"stop"}, {"clear"}, {"clear", "/usr"}, {"wait", "--timeout", "10ms"}, {"stop", "--job", "7"}} {
		code, stdout, stderr := p.copper(args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "copper: no Copper job is running under "+filepath.Join(p.dir, "jobs")+" (") {
			t.Errorf("copper %q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if _, err := os.Lstat(filepath.Join(p.dir, "jobs")); err == nil {
		t.Error("asking made the directory")
	}
}
