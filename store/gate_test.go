package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStalledFileSystem: one whose every place is taken, by more who want to read it than there is memory
// for, keeps nobody from another file system.
func TestStalledFileSystem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a tmpfs needs root")
	}
	dir := t.TempDir()
	stalled := filepath.Join(dir, "stalled")
	if err := os.Mkdir(stalled, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", stalled, "tmpfs", 0, ""); err != nil {
		t.Skipf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(stalled, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"f", "stalled/f"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 2*MinMemory), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	mem, err := NewMemory(MinMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	o, err := NewOrigin(dir, mem, OriginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	file := func(path string) File {
		a, err := o.Stat(t.Context(), path, Version{})
		if err != nil {
			t.Fatal(err)
		}
		return File{Path: path, Version: a.Version()}
	}
	slow, fast := file("/stalled/f"), file("/f")
	gate := o.mounts.at(slow.Path).gate
	for range cap(gate.calls) {
		gate.calls <- struct{}{}
	}

	ctx, leave := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for i := range slow.Chunks() {
		readers.Go(func() {
			if c, err := o.ReadChunk(ctx, slow, i); err == nil {
				c.Release()
				t.Errorf("chunk %d came past the gate", i)
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("chunk %d: %v", i, err)
			}
		})
	}
	for len(gate.chunks) < min(cap(gate.chunks), int(slow.Chunks())) {
		runtime.Gosched()
	}
	for i := range fast.Chunks() {
		c, err := o.ReadChunk(t.Context(), fast, i)
		if err != nil {
			t.Fatalf("chunk %d of a file system that answers: %v", i, err)
		}
		c.Release()
	}
	if _, err := o.List(t.Context(), "/", nil); err != nil {
		t.Error(err)
	}
	leave()
	readers.Wait()
	for range cap(gate.calls) {
		<-gate.calls
	}
	c, err := o.ReadChunk(t.Context(), slow, 0)
	if err != nil {
		t.Fatalf("after the stall: %v", err)
	}
	c.Release()
}
