package fuse

import (
	"os/exec"
	"syscall"
	"testing"
)

// TestServed: requests that nobody reads show, those that wait for the Source do not.
func TestServed(t *testing.T) {
	requireFUSE(t)
	dir := t.TempDir()
	fd, err := attach(dir) // the kernel's first request waits
	must(t, err)
	unread := &Mount{fs: &filesystem{device: fd, dead: make(chan struct{}), nodes: newNodeTable()}}
	if unread.Served() {
		t.Error("a request that nobody reads does not show")
	}
	unread.fs.counters.count(opLookup)
	if !unread.Served() || unread.Served() {
		t.Error("a request that was read counts once")
	}
	must(t, syscall.Close(fd))
	must(t, detach(dir, lazily))

	tree := newTree(t)
	tree.Write("/slow", nil)
	m, mnt := mount(t, Options{Source: tree})
	resume := tree.Stall("lstat", "/slow")
	cmd := exec.Command("stat", mnt+"/slow")
	must(t, cmd.Start())
	eventually(t, "the lookup", func() bool { return tree.Count("lstat", "/slow") == 1 })
	for range 3 {
		if !m.Served() {
			t.Error("a slow Source is taken for requests that nobody reads")
		}
	}
	resume()
	must(t, cmd.Wait())
	must(t, m.Unmount())
	m.Wait()
	if !m.Served() {
		t.Error("a mount that is gone has requests")
	}
}
