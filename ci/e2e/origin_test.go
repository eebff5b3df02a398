package e2e

import (
	"bytes"
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/slowfs"
	"github.com/copper-hpc/copper/store"
)

// originOn is an origin on a slow file system, without the rest of a node, whose kernel would hide
// some of what is tested by asking twice.
func originOn(t *testing.T, backing string, o slowfs.Options) (*store.Origin, *slowfs.Server) {
	t.Helper()
	binary(t, "copper") // with the other tests that need FUSE
	o.Backing, o.Mounts = backing, []string{t.TempDir()}
	server, err := slowfs.Start(o)
	must(t, err)
	mem, err := store.NewMemory(store.MinMemory)
	must(t, err)
	origin, err := store.NewOrigin(o.Mounts[0], mem, store.OriginOptions{NegativeLifetime: time.Second})
	must(t, err)
	t.Cleanup(func() {
		if err := origin.Close(); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return origin, server
}

// TestOriginAsksOnceMore: an ESTALE of the PFS is an answer only when it stays.
func TestOriginAsksOnceMore(t *testing.T) {
	backing := t.TempDir()
	must(t, os.MkdirAll(backing+"/dir/sub", 0o755))
	must(t, os.WriteFile(backing+"/dir/file", text(faultyFile), 0o644))
	must(t, os.Symlink("file", backing+"/dir/link"))
	origin, server := originOn(t, backing, slowfs.Options{CacheLifetime: -1})
	ctx := context.Background()
	attr, err := origin.Stat(ctx, "/dir/file", store.Version{})
	must(t, err)
	file := store.File{Path: "/dir/file", Version: attr.Version()}
	read := func(index int64) error {
		c, err := origin.ReadChunk(ctx, file, index)
		if err == nil {
			c.Release()
		}
		return err
	}
	for _, c := range []struct {
		what string
		op   slowfs.Op
		path string
		ask  func() error
	}{
		{"lstat", slowfs.OpGetAttr, "/dir/file", func() error { _, err := origin.Stat(ctx, "/dir/file", store.Version{}); return err }},
		{"readdir", slowfs.OpGetAttr, "/dir/sub", func() error { _, err := origin.List(ctx, "/dir/sub", nil); return err }},
		{"readlink", slowfs.OpReadLink, "/dir/link", func() error { _, err := origin.ReadLink(ctx, "/dir/link"); return err }},
		{"the first read", slowfs.OpGetAttr, "/dir/file", func() error { return read(0) }},
		{"a read of the open file", slowfs.OpGetAttr, "/dir/file", func() error { return read(1) }},
	} {
		f := slowfs.Fault{Op: c.op, Prefix: c.path, Errno: syscall.ESTALE, Times: 1}
		strike(t, server, f)
		if err := c.ask(); err != nil {
			t.Errorf("%s, ESTALE once: %v", c.what, err)
		}
		if c.op == slowfs.OpReadLink {
			continue // the client keeps the target
		}
		f.Times = 0
		strike(t, server, f)
		if err := c.ask(); store.Errno(err) != syscall.ESTALE {
			t.Errorf("%s, ESTALE that stays: %v", c.what, err)
		}
		server.ClearFaults()
	}
	// What a kept descriptor meets is no answer, whatever it is.
	if err := read(0); err != nil {
		t.Fatal(err)
	}
	strike(t, server, slowfs.Fault{Op: slowfs.OpGetAttr, Prefix: "/dir/file", Errno: syscall.EIO, Times: 1})
	if err := read(2); err != nil {
		t.Errorf("a descriptor that has gone bad: %v", err)
	}
}

// TestOriginAsksTheServer: a PFS client that believes what it remembers is made to ask, when that is
// known to be old and when a directory is to be renewed.
func TestOriginAsksTheServer(t *testing.T) {
	backing := t.TempDir()
	must(t, os.Mkdir(backing+"/dir", 0o755))
	must(t, os.WriteFile(backing+"/dir/file", []byte("old"), 0o644))
	long := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(backing+"/dir", long, long))
	origin, _ := originOn(t, backing, slowfs.Options{}) // remembers for an hour
	ctx := context.Background()
	old, err := origin.Stat(ctx, "/dir/file", store.Version{})
	must(t, err)
	listing, err := origin.List(ctx, "/dir", nil)
	must(t, err)
	listing.Settled = true // so that it would be renewed
	must(t, os.WriteFile(backing+"/dir/file", []byte("newer"), 0o644))
	must(t, os.WriteFile(backing+"/dir/added", nil, 0o644))
	if now, err := origin.Stat(ctx, "/dir/file", store.Version{}); err != nil || now.Size != 3 {
		t.Fatalf("the PFS client has asked by itself: %+v, %v", now, err)
	}
	now, err := origin.Stat(ctx, "/dir/file", old.Version())
	if err != nil || now.Size != 5 {
		t.Errorf("a stale version: %+v, %v", now, err)
	}
	if l, err := origin.List(ctx, "/dir", listing); err != nil || len(l.Entries) != 2 {
		t.Errorf("a listing to be renewed: %+v, %v", l, err)
	}
	must(t, os.WriteFile(backing+"/dir/replacing", []byte("another file"), 0o644))
	must(t, os.Rename(backing+"/dir/replacing", backing+"/dir/file"))
	if now, err := origin.Stat(ctx, "/dir/file", now.Version()); err != nil || now.Size != 12 {
		t.Errorf("a replaced file: %+v, %v", now, err)
	}
}

// TestOriginWaitsForTheTick: a file that is written twice within one tick of the PFS's clock, at the same
// size, shows the same version after either. Its chunks are of one of them all the same.
func TestOriginWaitsForTheTick(t *testing.T) {
	backing := t.TempDir()
	origin, _ := originOn(t, backing, slowfs.Options{CacheLifetime: -1, Tick: time.Second})
	ctx := context.Background()
	content := func(b byte) []byte { return bytes.Repeat([]byte{b}, 2*store.ChunkSize) }
	for try := 0; ; try++ {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 50*time.Millisecond))) // the PFS's clock
		must(t, os.WriteFile(backing+"/file", content('a'), 0o644))
		first, err := origin.Stat(ctx, "/file", store.Version{})
		must(t, err)
		file := store.File{Path: "/file", Version: first.Version()}
		chunk := make(chan *store.Chunk, 2)
		read := func(index int64) {
			c, err := origin.ReadChunk(ctx, file, index)
			if err != nil {
				t.Error(err)
			}
			chunk <- c
		}
		go read(0)
		for wait := time.After(200 * time.Millisecond); wait != nil && len(chunk) == 0; { // a chance to be wrong
			select {
			case <-wait:
				wait = nil
			case <-time.After(time.Millisecond):
			}
		}
		must(t, os.WriteFile(backing+"/file", content('b'), 0o644))
		second, err := origin.Stat(ctx, "/file", store.Version{})
		must(t, err)
		early := len(chunk) > 0
		if second.Version() != first.Version() {
			if c := <-chunk; c != nil {
				c.Release()
			}
			if try == 5 {
				t.Skip("this machine is too slow to write a file twice in a second")
			}
			continue
		}
		c := <-chunk
		read(1)
		d := <-chunk
		if c == nil || d == nil {
			return
		}
		if early || c.Bytes()[0] != d.Bytes()[0] {
			t.Errorf("chunks %q and %q of one version", c.Bytes()[:1], d.Bytes()[:1])
		}
		c.Release()
		d.Release()
		return
	}
}
