package launch

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestShutters(t *testing.T) {
	point := t.TempDir()
	dir, err := OpenMountpoint(point)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	Shut(dir, []string{"lus", "a file"})
	Shut(dir, []string{"lus", "home"}) // a daemon was killed before it could open them
	for _, path := range []string{"lus", "lus/x/y", "a file", "home/x"} {
		if _, err := os.Stat(filepath.Join(point, path)); !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: %v, want ELOOP", path, err)
		}
	}
	OpenShutters(dir)
	if left, err := os.ReadDir(point); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestShuttersOnly: what is not ours stays, all of it.
func TestShuttersOnly(t *testing.T) {
	point := t.TempDir()
	for link, to := range map[string]string{"self": "self", "other": "self"} {
		if err := os.Symlink(to, filepath.Join(point, link)); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := OpenMountpoint(point)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if left, err := os.ReadDir(point); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := OpenMountpoint(filepath.Join(point, "none")); ExitCode(err) != ExitBadInput {
		t.Errorf("missing: %v", err)
	}
}
