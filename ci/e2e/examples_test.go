package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLocalExamples runs each script of examples/local_examples as a user would.
func TestLocalExamples(t *testing.T) {
	root := filepath.Dir(filepath.Dir(binary(t, "copper")))
	scripts, err := filepath.Glob(filepath.Join(root, "examples", "local_examples", "*.sh"))
	if err != nil || len(scripts) < 2 {
		t.Fatalf("examples: %v, %v", scripts, err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			tmp := t.TempDir()
			cmd := exec.CommandContext(ctx, script, site(t))
			cmd.Env = append(os.Environ(), "HOME="+tmp, "TMPDIR="+tmp, "COPPER_ROOT="+root, "COPPER_E2E=")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := strings.Count(string(out), filepath.Join(site(t), "numpy", "__init__.py")); n != 4 {
				t.Errorf("%d of 4 imports:\n%s", n, out)
			}
			if !strings.Contains(string(out), "4 of 4 nodes answer") {
				t.Errorf("no status:\n%s", out)
			}
			if left := mountsBelow(t, tmp, "fuse.copper"); len(left) > 0 {
				t.Errorf("still mounted: %v", left)
			}
		})
	}
}
