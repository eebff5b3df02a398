package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestREADME runs the commands of the README's first use, in their order, as they stand there.
func TestREADME(t *testing.T) {
	root := filepath.Dir(filepath.Dir(binary(t, "copper")))
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := shellBlocks(string(readme))
	for _, want := range []string{"copper launch", "copper status", "copper stop", "copper serve", "copper wait"} {
		if !strings.Contains(commands, want) {
			t.Errorf("the README's commands lack %q", want)
		}
	}
	home := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euxo", "pipefail", "-c", commands+"\nwait\n")
	cmd.Dir = root
	// A user of its own name, so that the default mount points are not those of somebody's job.
	cmd.Env = append(os.Environ(), "HOME="+home, "USER=readme-test", "COPPER_DIR="+filepath.Join(home, "copper-logs"), "COPPER_E2E=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if left := mountsBelow(t, "/tmp/readme-test", "fuse.copper"); len(left) > 0 {
		t.Errorf("still mounted: %v", left)
	}
}

// shellBlocks joins the fenced blocks of a Markdown text that are marked as sh.
func shellBlocks(markdown string) string {
	var b strings.Builder
	in := false
	for line := range strings.Lines(markdown) {
		switch {
		case strings.TrimSpace(line) == "```sh":
			in = true
		case strings.HasPrefix(line, "```"):
			in = false
		case in:
			b.WriteString(line)
		}
	}
	return b.String()
}
