package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// asProber makes this test binary a process that looks at files of a mount in a tight loop.
const asProber = "COPPER_E2E_PROBER"

// probed is the directory that the prober looks at, below the view's root: so many small files, each
// with its own name as its content.
const (
	probed      = "top"
	probedFiles = 300
)

func probedName(i int) string { return fmt.Sprintf("file%03d", i) }

// makeProbed makes a target with that directory, which everybody can read.
func makeProbed(t *testing.T, target string) {
	t.Helper()
	dir := filepath.Join(target, probed)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range probedFiles {
		if err := os.WriteFile(filepath.Join(dir, probedName(i)), []byte(probedName(i)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// probe looks until a line comes on stdin, then prints how often each way of looking met what, one a
// line: "way answer times". Whatever is neither "right" nor an errno is a wrong answer.
func probe(mount string) int {
	var over atomic.Bool
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		over.Store(true)
	}()
	dir := filepath.Join(mount, probed)
	met := map[string]int{}
	note := func(way string, err error, right bool) {
		answer := "right"
		var errno syscall.Errno
		switch {
		case errors.As(err, &errno):
			answer = errno.Error()
			if errno == syscall.ENOENT {
				answer = "WRONG: not there"
			}
		case err != nil:
			answer = "WRONG: " + err.Error()
		case !right:
			answer = "WRONG: other content"
		}
		met[way+" "+answer]++
	}
	for i := 0; !over.Load(); i = (i + 1) % probedFiles {
		path := filepath.Join(dir, probedName(i))
		info, err := os.Lstat(path)
		note("lstat", err, err == nil && info.Mode().IsRegular() && info.Size() == int64(len(probedName(i))))
		content, err := os.ReadFile(path)
		note("read", err, string(content) == probedName(i))
		info, err = os.Stat(dir)
		note("stat", err, err == nil && info.IsDir())
		if i%30 == 0 {
			list := func(way, dir, want string, atLeast int) {
				entries, err := os.ReadDir(dir)
				found := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == want })
				note(way, err, found && len(entries) >= atLeast)
			}
			list("list", dir, probedName(i), probedFiles)
			list("list the root", mount, probed, 1)
		}
		if i == probedFiles-1 && met["ready"] == 0 {
			met["ready"]++
			fmt.Println("ready")
		}
	}
	for answer, times := range met {
		fmt.Println(answer, times)
	}
	return 0
}

// prober is such a process at a mount.
type prober struct {
	cmd *exec.Cmd
	in  interface{ Write([]byte) (int, error) }
	out *bufio.Reader
}

// startProber returns when the prober has seen everything once.
func startProber(t *testing.T, mount string) *prober {
	t.Helper()
	p := &prober{cmd: exec.Command(os.Args[0], mount)}
	p.cmd.Env = append(os.Environ(), asProber+"=1")
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the prober: %q, %v", line, err)
	}
	return p
}

// end returns what the prober met.
func (p *prober) end(t *testing.T) string {
	t.Helper()
	fmt.Fprintln(p.in)
	var met strings.Builder
	_, err := p.out.WriteTo(&met)
	if err := errors.Join(err, p.cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	return met.String()
}
