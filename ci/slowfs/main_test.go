package slowfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClock lets no time pass except by waiting, and then exactly as much as was waited for.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) wait(d time.Duration, done <-chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return true
}

// needFUSE skips the test where this user cannot mount at all.
func needFUSE(t *testing.T) {
	t.Helper()
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no FUSE here: %v", err)
	}
	_ = dev.Close()
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("fusermount3"); err != nil {
			t.Skipf("no FUSE here: %v", err)
		}
	}
}

// start serves a new backing directory, prepared by fill, on n mounts, and closes it with the
// test.
func start(t *testing.T, n int, options Options, fill func(backing string)) *Server {
	t.Helper()
	needFUSE(t)
	dir := t.TempDir()
	options.Backing = filepath.Join(dir, "backing")
	mkdir(t, options.Backing)
	if fill != nil {
		fill(options.Backing)
	}
	for i := range n {
		mount := filepath.Join(dir, "n"+string(rune('1'+i)))
		mkdir(t, mount)
		options.Mounts = append(options.Mounts, mount)
	}
	s, err := Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Server) backing(path string) string { return filepath.Join(s.options.Backing, path) }

// on is path as seen through mount i.
func (s *Server) on(i int, path string) string { return filepath.Join(s.options.Mounts[i], path) }

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

// await returns when condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: did not happen", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// mounted tells whether something of this package is mounted below dir.
func mounted(t *testing.T, dir string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, " "+dir) && strings.Contains(line, "fuse.slowfs") {
			return true
		}
	}
	return false
}
