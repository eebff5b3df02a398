package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Lifetime is the lifetime of "not there" with which a Source under test must be made.
const Lifetime = 100 * time.Millisecond

// Memory returns a budget of its own for a test.
func Memory(t testing.TB, limit int64) *store.Memory {
	t.Helper()
	m, err := store.NewMemory(limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// RunConformance checks what every [store.Source] promises, on a real directory tree. open is
// given the directory and returns a Source whose view is that directory and whose "not there"
// lives for [Lifetime]; it registers its own cleanup.
func RunConformance(t *testing.T, open func(t *testing.T, dir string) store.Source) {
	dir := t.TempDir()
	buildTree(t, dir)
	src := open(t, dir)
	plain := Plain{Dir: dir, Mem: Memory(t, 64<<20)}
	ctx := context.Background()

	t.Run("SameAnswers", func(t *testing.T) {
		for _, p := range walk(t, dir) {
			sameAnswers(ctx, t, src, plain, p)
		}
	})
	t.Run("OneFileSystem", func(t *testing.T) {
		root := mustStat(ctx, t, src, "/")
		for _, p := range walk(t, dir) {
			if a := mustStat(ctx, t, src, p); a.Dev != root.Dev {
				t.Errorf("%q: Dev %d, the root's is %d", p, a.Dev, root.Dev)
			}
		}
	})
	t.Run("Misses", func(t *testing.T) { misses(ctx, t, src) })
	t.Run("Errors", func(t *testing.T) { failures(ctx, t, src) })
	t.Run("Concurrent", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				paths := walk(t, dir)
				rand.New(rand.NewPCG(uint64(i), 1)).Shuffle(len(paths), func(a, b int) { paths[a], paths[b] = paths[b], paths[a] })
				for _, p := range paths {
					sameAnswers(ctx, t, src, plain, p)
				}
			})
		}
		wg.Wait()
	})
	t.Run("CancelledCaller", func(t *testing.T) {
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := src.Stat(cancelled, "/never-asked-before", store.Version{}); store.Errno(err) != syscall.EINTR && store.Errno(err) != syscall.ENOENT {
			t.Errorf("Stat with a cancelled context: %v", err)
		}
	})
	t.Run("ReplacedFile", func(t *testing.T) { replaced(ctx, t, src, dir) })
	t.Run("NewFile", func(t *testing.T) { appears(ctx, t, src, dir) })
}

// buildTree makes what a start-up may meet, in small.
func buildTree(t *testing.T, dir string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	write := func(name string, size int, mode os.FileMode) {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		must(t, os.WriteFile(filepath.Join(dir, name), data, mode))
		must(t, os.Chmod(filepath.Join(dir, name), mode))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "lib/python/deep/deeper"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "empty"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, "many"), 0o755))
	for _, size := range []int{0, 1, 4095, 4096, 4097, store.ChunkSize - 1, store.ChunkSize, store.ChunkSize + 1, 3*store.ChunkSize + 12345} {
		write(fmt.Sprintf("lib/size%d", size), size, 0o644)
	}
	for _, size := range []int{20_000, store.ChunkSize, 2*store.ChunkSize + 12345} { // that shrinks
		text := bytes.Repeat([]byte("import numpy as np\n"), size/19+1)[:size]
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("lib/text%d", size)), text, 0o644))
	}
	for i := range 500 {
		write(fmt.Sprintf("many/file%03d", i), i, 0o644)
	}
	write("lib/program", 100, 0o755)
	write("lib/setuid", 10, 0o755|os.ModeSetuid)
	write("lib/"+strings.Repeat("n", 255), 7, 0o600)
	write("lib/not-utf8-\xff\xfe", 8, 0o644)
	write("lib/with space\nand newline", 9, 0o644)
	write("gone-later", 2*store.ChunkSize, 0o644)
	must(t, os.Link(filepath.Join(dir, "lib/program"), filepath.Join(dir, "lib/hardlink")))
	must(t, os.Symlink("../lib/program", filepath.Join(dir, "lib/relative")))
	must(t, os.Symlink("/etc/hostname", filepath.Join(dir, "lib/absolute")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "lib/dangling")))
	must(t, os.Symlink("python", filepath.Join(dir, "lib/to-directory")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "lib/fifo"), 0o644))
}

// sameAnswers asks src and plain everything that can be asked of p.
func sameAnswers(ctx context.Context, t *testing.T, src, plain store.Source, p string) {
	got, want := mustStat(ctx, t, src, p), mustStat(ctx, t, plain, p)
	version := got.Version()
	got.Dev, want.Dev, got.Atime, want.Atime = 0, 0, 0, 0 // numbers of one's own; changed by looking
	got.BlockSize, want.BlockSize = 0, 0                  // the kernel's choice in a FUSE mount
	if got != want {
		t.Errorf("%q: Stat\n got %+v\nwant %+v", p, got, want)
	}
	switch got.Type() {
	case syscall.S_IFDIR:
		got, err := src.List(ctx, p, nil)
		want, err2 := plain.List(ctx, p, nil)
		if err != nil || err2 != nil {
			t.Errorf("%q: List: %v, %v", p, err, err2)
			return
		}
		if !got.Complete {
			t.Errorf("%q: listing of a quiet directory is not complete", p)
		}
		if !equalEntries(got.Entries, want.Entries) {
			t.Errorf("%q: List\n got %v\nwant %v", p, got.Entries, want.Entries)
		}
	case syscall.S_IFLNK:
		got, err := src.ReadLink(ctx, p)
		want, err2 := plain.ReadLink(ctx, p)
		if got != want || err != nil || err2 != nil {
			t.Errorf("%q: ReadLink = %q (%v), want %q (%v)", p, got, err, want, err2)
		}
	case syscall.S_IFREG:
		file := store.File{Path: p, Version: version}
		plainFile := store.File{Path: p, Version: mustStat(ctx, t, plain, p).Version()}
		for i := range file.Chunks() {
			sameChunk(ctx, t, src, plain, file, plainFile, i)
		}
		for _, i := range []int64{-1, file.Chunks(), file.Chunks() + 5} {
			if _, err := src.ReadChunk(ctx, file, i); store.Errno(err) != syscall.EINVAL {
				t.Errorf("%q: ReadChunk %d of %d: %v, want EINVAL", p, i, file.Chunks(), err)
			}
		}
	}
}

func sameChunk(ctx context.Context, t *testing.T, src, plain store.Source, file, plainFile store.File, index int64) {
	got, err := src.ReadChunk(ctx, file, index)
	if err != nil {
		t.Errorf("%q: ReadChunk %d: %v", file.Path, index, err)
		return
	}
	defer got.Release()
	want, err := plain.ReadChunk(ctx, plainFile, index)
	if err != nil {
		t.Errorf("%q: plain ReadChunk %d: %v", file.Path, index, err)
		return
	}
	defer want.Release()
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%q: chunk %d differs", file.Path, index)
	}
	if !got.Intact() || got.CRC() != want.CRC() {
		t.Errorf("%q: chunk %d: checksum %08x, want %08x", file.Path, index, got.CRC(), want.CRC())
	}
}

// misses checks that absence is told with its errno and a lease.
func misses(ctx context.Context, t *testing.T, src store.Source) {
	for p, want := range map[string]syscall.Errno{
		"/missing":                   syscall.ENOENT,
		"/lib/missing.so":            syscall.ENOENT,
		"/lib/python/missing/deeper": syscall.ENOENT,
		"/lib/program/below-a-file":  syscall.ENOTDIR,
		"/many/file":                 syscall.ENOENT,
	} {
		for range 2 { // the second one may come from memory
			_, err := src.Stat(ctx, p, store.Version{})
			var e *store.Error
			if !errors.As(err, &e) || e.Errno != want {
				t.Errorf("%q: %v, want %v", p, err, want)
				continue
			}
			if e.Path != p {
				t.Errorf("%q: the error names %q", p, e.Path)
			}
			if left := time.Until(e.Expires); left > Lifetime {
				t.Errorf("%q: may be remembered for %v, longer than %v", p, left, Lifetime)
			}
		}
	}
}

// failures checks that what is not absence is never told as absence.
func failures(ctx context.Context, t *testing.T, src store.Source) {
	is := func(what string, err error, want syscall.Errno) {
		t.Helper()
		if store.Errno(err) != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		var e *store.Error
		if errors.As(err, &e) && !e.Absent() && !e.Expires.IsZero() {
			t.Errorf("%s: %v has a lease", what, err)
		}
	}
	_, err := src.Stat(ctx, "/lib/"+strings.Repeat("n", 256), store.Version{})
	is("a name of 256 bytes", err, syscall.ENAMETOOLONG)
	_, err = src.ReadLink(ctx, "/lib/program")
	is("ReadLink of a file", err, syscall.EINVAL)
	_, err = src.ReadLink(ctx, "/lib/missing")
	is("ReadLink of nothing", err, syscall.ENOENT)
	_, err = src.List(ctx, "/lib/program", nil)
	is("List of a file", err, syscall.ENOTDIR)
	_, err = src.List(ctx, "/missing", nil)
	is("List of nothing", err, syscall.ENOENT)
}

// replaced checks that two versions of a file never mix.
func replaced(ctx context.Context, t *testing.T, src store.Source, dir string) {
	const p = "/gone-later"
	old := mustStat(ctx, t, src, p).Version()
	content := bytes.Repeat([]byte("new"), store.ChunkSize)
	must(t, os.WriteFile(filepath.Join(dir, ".new"), content, 0o644))
	must(t, os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, p)))

	version := old
	for i := int64(0); i < 2; i++ {
		c, err := src.ReadChunk(ctx, store.File{Path: p, Version: old}, i)
		switch {
		case store.Errno(err) == syscall.ESTALE:
			version = mustStatStale(ctx, t, src, p, old)
		case err != nil:
			t.Fatalf("chunk %d of a replaced file: %v, want ESTALE", i, err)
		default: // an old chunk from memory may still be given, but only an old one
			if bytes.HasPrefix(c.Bytes(), []byte("new")) {
				t.Fatalf("chunk %d of the old version holds the new content", i)
			}
			c.Release()
		}
	}
	if version == old {
		version = mustStatStale(ctx, t, src, p, old)
	}
	file := store.File{Path: p, Version: version}
	var got []byte
	for i := range file.Chunks() {
		c, err := src.ReadChunk(ctx, file, i)
		if err != nil {
			t.Fatalf("chunk %d of the new version: %v", i, err)
		}
		got = append(got, c.Bytes()...)
		c.Release()
	}
	if !bytes.Equal(got, content) {
		t.Fatal("the new version's content differs")
	}
}

func mustStatStale(ctx context.Context, t *testing.T, src store.Source, p string, old store.Version) store.Version {
	t.Helper()
	a, err := src.Stat(ctx, p, old)
	if err != nil {
		t.Fatalf("%q: %v", p, err)
	}
	if a.Version() == old {
		t.Fatalf("%q still has the version that is gone", p)
	}
	return a.Version()
}

// appears checks that a new file becomes visible when the lifetime of "not there" is over.
func appears(ctx context.Context, t *testing.T, src store.Source, dir string) {
	const p = "/lib/python/new.py"
	if _, err := src.Stat(ctx, p, store.Version{}); store.Errno(err) != syscall.ENOENT {
		t.Fatalf("before it is made: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, p), []byte("new"), 0o644))
	made := time.Now()
	for {
		_, err := src.Stat(ctx, p, store.Version{})
		if err == nil {
			return
		}
		var e *store.Error
		if !errors.As(err, &e) || e.Errno != syscall.ENOENT {
			t.Fatal(err)
		}
		if time.Since(made) > 20*time.Second {
			t.Fatalf("still %v", err)
		}
		select {
		case <-time.After(max(time.Until(e.Expires), time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

func mustStat(ctx context.Context, t *testing.T, src store.Source, p string) store.Attr {
	t.Helper()
	a, err := src.Stat(ctx, p, store.Version{})
	if err != nil {
		t.Errorf("%q: Stat: %v", p, err)
	}
	return a
}

// walk lists the tree, the root first, as paths of the view.
func walk(t *testing.T, dir string) []string {
	var paths []string
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if p == dir {
			p = "/"
		} else {
			p = p[len(dir):]
		}
		paths = append(paths, p)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return paths
}

func equalEntries(a, b []store.Entry) bool {
	if len(a) != len(b) || !sort.SliceIsSorted(a, func(i, j int) bool { return a[i].Name < a[j].Name }) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
