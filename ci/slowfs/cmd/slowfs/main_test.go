package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/slowfs"
)

const beSlowfs = "SLOWFS_TEST_RUN_MAIN"

// TestMain lets the test binary play the command, in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(beSlowfs) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"backing", "n1"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "control")
	good := []string{"--backing", dir + "/backing", "--mount", dir + "/n1", "--control", socket}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing":           {nil, "missing flags"},
		"unknown flag":      {append(good[:len(good):len(good)], "--frobnicate"), "--frobnicate"},
		"stray argument":    {append(good[:len(good):len(good)], "stray"), "stray"},
		"rate is a word":    {append(good[:len(good):len(good)], "--metadata-rate", "fast"), "--metadata-rate"},
		"negative rate":     {append(good[:len(good):len(good)], "--metadata-rate=-1"), "metadata rate"},
		"latency unitless":  {append(good[:len(good):len(good)], "--latency", "5"), "--latency"},
		"no backing":        {good[2:], "--backing"},
		"no mount":          {append(good[:2:2], good[4:]...), "--mount"},
		"no control":        {good[:4], "--control"},
		"missing mount":     {append(good[:len(good):len(good)], "--mount", dir+"/none"), dir + "/none"},
		"mount is a file":   {append(good[:len(good):len(good)], "--mount", dir+"/file"), "not a directory"},
		"mount twice":       {append(good[:len(good):len(good)], "--mount", dir+"/n1"), "overlaps"},
		"control elsewhere": {append(good[:4:4], "--control", dir+"/none/control"), "control socket"},
		"control is a file": {append(good[:4:4], "--control", dir+"/file"), "control socket"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			stop := make(chan os.Signal, 1)
			stop <- syscall.SIGTERM // in case that it is accepted
			if code := run(test.args, &stdout, &stderr, stop); code != 2 {
				t.Errorf("exit status %d, want 2", code)
			}
			message := stderr.String()
			if !strings.HasPrefix(message, "slowfs: ") || !strings.Contains(message, test.want) || strings.Count(message, "\n") != 1 {
				t.Errorf("message %q, want one line with %q", message, test.want)
			}
			if stdout.Len() != 0 {
				t.Errorf("stdout has %q", stdout.String())
			}
			if isMounted(t, dir) {
				t.Error("something is mounted")
			}
			if _, err := os.Stat(dir + "/file"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--help"}, &stdout, &stderr, nil); code != 0 || !strings.Contains(stdout.String(), "--metadata-rate") {
		t.Errorf("exit status %d, %q", code, stdout.String())
	}
}

func isMounted(t *testing.T, dir string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(table), " "+dir)
}

// process is slowfs in a process of its own.
type process struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	client http.Client
}

// serve starts slowfs in dir with the directory backing and two mounts, n1 and n2, and waits until
// it is ready.
func serve(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	_ = dev.Close()
	for _, name := range []string{"backing", "n1", "n2"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "backing", "file"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: dir}
	socket := filepath.Join(dir, "control")
	p.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}, DisableKeepAlives: true}
	p.cmd = exec.Command(os.Args[0], append([]string{"--backing", dir + "/backing", "--mount", dir + "/n1",
		"--mount", dir + "/n2", "--control", socket}, flags...)...)
	p.cmd.Env = append(os.Environ(), beSlowfs+"=1")
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			_ = p.cmd.Wait()
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = p.cmd.Wait()
		t.Fatalf("said %q, %v; %s", line, err, p.stderr.String())
	}
	return p
}

// stop ends the process as a user does, and returns its exit status.
func (p *process) stop(signal os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) request(method, target, body string, want int) []byte {
	p.t.Helper()
	r, err := http.NewRequest(method, "http://slowfs"+target, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		p.t.Fatalf("%s %s: %s %q, %v; want status %d", method, target, response.Status, text, err, want)
	}
	return text
}

func (p *process) counts() (c slowfs.Counts) {
	p.t.Helper()
	if err := json.Unmarshal(p.request("GET", "/counts?paths=1", "", http.StatusOK), &c); err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *process) read(mount string) (string, error) {
	content, err := os.ReadFile(filepath.Join(p.dir, mount, "file"))
	return string(content), err
}

func TestProcessObeysItsControl(t *testing.T) {
	p := serve(t, t.TempDir())
	for _, mount := range []string{"n1", "n2"} {
		if got, err := p.read(mount); err != nil || got != "hello" {
			t.Errorf("%s: %q, %v", mount, got, err)
		}
	}
	counts := p.counts()
	if file := counts.Paths["/file"]; file.Bytes != 10 || file.Operations[slowfs.OpLookup] != 2 || len(counts.Mounts) != 2 {
		t.Errorf("counts: %+v", counts)
	}

	p.request("POST", "/reset", "", http.StatusNoContent)
	if counts := p.counts(); counts.Metadata() != 0 || len(counts.Paths) != 0 {
		t.Errorf("after the reset: %+v", counts)
	}

	p.request("POST", "/fault", `{"prefix": "/file", "op": "open", "errno": "EIO"}`, http.StatusNoContent)
	if _, err := p.read("n1"); err == nil {
		t.Error("the fault does not strike")
	}
	p.request("POST", "/fault", `{"errno": "EFOO"}`, http.StatusBadRequest)
	p.request("POST", "/fault", `{}`, http.StatusBadRequest)
	p.request("DELETE", "/fault", "", http.StatusNoContent)

	if err := os.WriteFile(filepath.Join(p.dir, "backing", "file"), []byte("other content"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.request("POST", "/changed?path=/file", "", http.StatusNoContent)
	if got, err := p.read("n2"); err != nil || got != "other content" {
		t.Errorf("after the change: %q, %v", got, err)
	}
	p.request("POST", "/changed", "", http.StatusBadRequest)
	p.request("GET", "/reset", "", http.StatusMethodNotAllowed)

	info, err := os.Stat(filepath.Join(p.dir, "control"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info, err)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit status %d: %s", code, p.stderr.String())
	}
	if isMounted(t, p.dir) {
		t.Error("still mounted")
	}
	if _, err := os.Stat(filepath.Join(p.dir, "control")); !os.IsNotExist(err) {
		t.Errorf("control socket: %v, want it gone", err)
	}
}

func TestProcessStopsWithAStalledReader(t *testing.T) {
	p := serve(t, t.TempDir())
	p.request("POST", "/fault", `{"op": "open", "stall": true}`, http.StatusNoContent)
	reader := exec.Command("cat", filepath.Join(p.dir, "n1", "file"))
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); p.counts().Stalled == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing stalled")
		}
	}
	if code := p.stop(syscall.SIGINT); code != 0 {
		t.Errorf("exit status %d: %s", code, p.stderr.String())
	}
	if err := reader.Wait(); err == nil {
		t.Error("the stalled reader succeeded")
	}
	if isMounted(t, p.dir) {
		t.Error("still mounted")
	}
}

func TestControlSocketOfAKilledServerIsReplaced(t *testing.T) {
	dir := t.TempDir()
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)

	if _, err := listen(left.Addr().String()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a socket that answers: got %v, want that it is in use", err)
	}
	_ = left.Close()
	p := serve(t, dir)
	p.counts()
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit status %d: %s", code, p.stderr.String())
	}
}
