package slowfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMountsAreOurs(t *testing.T) {
	s := start(t, 1, Options{}, nil)
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); fields[4] == s.options.Mounts[0] {
			if !strings.HasPrefix(fields[5], "ro,") || !strings.Contains(line, " - fuse.slowfs slowfs ro,") {
				t.Errorf("mounted as %q", line)
			}
			return
		}
	}
	t.Error("not mounted")
}

func TestCloseEndsStalledOperations(t *testing.T) {
	s := start(t, 2, Options{}, fillTwo(t))
	dir := filepath.Dir(s.options.Backing)
	setFault(t, s, Fault{Op: OpOpen, Stall: true})
	errs := make(chan error, 2)
	for i := range s.options.Mounts {
		go func() {
			_, err := os.ReadFile(s.on(i, "a/file"))
			errs <- err
		}()
	}
	await(t, "two stalls", func() bool { return s.Counts().Stalled == 2 })
	if !mounted(t, dir) {
		t.Fatal("not mounted")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if mounted(t, dir) {
		t.Error("still mounted")
	}
	for range s.options.Mounts {
		if err := <-errs; err == nil || errors.Is(err, syscall.ENOENT) {
			t.Errorf("a stalled open ended with %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseWhileInUse(t *testing.T) {
	s := start(t, 1, Options{}, fillTwo(t))
	file, err := os.Open(s.on(0, "a/file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if mounted(t, filepath.Dir(s.options.Backing)) {
		t.Error("still mounted")
	}
	if content, err := os.ReadFile(file.Name()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the empty mount point shows %q, %v", content, err)
	}
	if n, err := file.Read(make([]byte, 5)); err == nil {
		t.Errorf("the open file still reads %d bytes", n)
	}
	_ = file.Close()
	<-s.mounts[0].ended
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	needFUSE(t)
	dir := t.TempDir()
	mkdir(t, dir+"/backing")
	mkdir(t, dir+"/n1")
	options, err := Options{Backing: dir + "/backing", Mounts: []string{dir + "/n1"}}.resolve()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{options: options, clock: options.clock, faults: newFaults(), counter: newCounter(options.Mounts), closing: make(chan struct{})}
	if _, err := s.mount(0, dir+"/none", identity{}); err == nil {
		t.Error("mounted on a directory that does not exist")
	}
	if mounted(t, dir) {
		t.Error("something is mounted")
	}
}
