package e2e

import (
	"context"
	littleendian "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/slowfs"
)

// changing is a file that changes. Each version's size and every page of it tell which version they
// are of.
type changing struct {
	path string // behind the mounts
	size int64  // bytes, about

	mu      sync.Mutex
	version uint64
	// slow holds the versions that took so long to be written in place that whoever read meanwhile
	// could see half of them, at the PFS itself.
	slow map[uint64]bool
}

const pageSize = 4096

var order = littleendian.LittleEndian

// sizeOf is the size of a version. Versions that follow one another in place have the same.
func (c *changing) sizeOf(version uint64) int64 { return c.size + int64(version/4%5)*5001 }

func (c *changing) content(version uint64) []byte {
	b := make([]byte, c.sizeOf(version))
	for at := 0; at < len(b); at += pageSize {
		var mark [16]byte
		order.PutUint64(mark[:], version)
		order.PutUint64(mark[8:], uint64(at/pageSize))
		page := b[at:min(at+pageSize, len(b))]
		for i := 0; i < len(page); i += 512 { // so that a page that was filled up is seen
			copy(page[i:], mark[:])
		}
	}
	return b
}

// versionsIn returns the versions of which data, read at a page's beginning, holds pages. Data that
// belongs to none is an error.
func versionsIn(data []byte, off int64, versions map[uint64]bool) error {
	for at := 0; at < len(data); at += pageSize {
		page := data[at:min(at+pageSize, len(data))]
		if len(page) < 16 {
			continue
		}
		version, number := order.Uint64(page), order.Uint64(page[8:])
		for i := 0; i+16 <= len(page); i += 512 {
			if order.Uint64(page[i:]) != version || order.Uint64(page[i+8:]) != uint64(off+int64(at))/pageSize {
				return fmt.Errorf("page %d (it says %d) of version %d is torn at %d", (off+int64(at))/pageSize, number, version, i)
			}
		}
		versions[version] = true
	}
	return nil
}

// slowWrite is a part of what a daemon waits before it reads a file that has just changed.
const slowWrite = 20 * time.Millisecond

// change makes the next version, in one of the ways in which files change.
func (c *changing) change(random *rand.Rand) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := random.IntN(8)
	if kind == 0 { // only its times
		return os.Chtimes(c.path, time.Time{}, time.Now())
	}
	c.version++
	content := c.content(c.version)
	if kind >= 4 && len(content) == int(c.sizeOf(c.version-1)) { // rewritten in place
		f, err := os.OpenFile(c.path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		began := time.Now()
		_, err = f.Write(content)
		if time.Since(began) > slowWrite {
			c.slow[c.version] = true
		}
		return err
	}
	if kind == 1 { // it vanishes for a moment
		if err := os.Remove(c.path); err != nil {
			return err
		}
	}
	if err := os.WriteFile(c.path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(c.path+".new", c.path)
}

// read reads the file through a mount, in a random way, and returns the one version that it saw; 0
// with the errno that it met.
func (c *changing) read(mount string, random *rand.Rand) (uint64, error) {
	f, err := os.Open(filepath.Join(mount, filepath.Base(c.path)))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if random.IntN(2) == 0 { // ask the daemon again
		defer func() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }()
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	versions := map[uint64]bool{}
	var got int64
	if random.IntN(2) == 0 {
		data, err := io.ReadAll(f)
		if torn := versionsIn(data, 0, versions); torn != nil {
			return 0, c.torn(torn, versions)
		}
		if err != nil {
			return 0, c.single(versions, err)
		}
		got = int64(len(data))
	} else {
		pages := (info.Size() + pageSize - 1) / pageSize
		page := make([]byte, pageSize)
		for range 60 {
			off := random.Int64N(pages) * pageSize
			n, err := f.ReadAt(page, off)
			if torn := versionsIn(page[:n], off, versions); torn != nil {
				return 0, c.torn(torn, versions)
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, c.single(versions, err)
			}
			if off+int64(n) != min(off+pageSize, info.Size()) {
				return 0, fmt.Errorf("WRONG: %d bytes at %d of a file of %d bytes", n, off, info.Size())
			}
		}
		got = info.Size()
	}
	if err := c.single(versions, nil); err != nil {
		return 0, err
	}
	for version := range versions {
		if got != info.Size() || got != c.sizeOf(version) {
			return 0, fmt.Errorf("WRONG: version %d has %d bytes, fstat says %d, read %d", version, c.sizeOf(version), info.Size(), got)
		}
		return version, nil
	}
	return 0, errors.New("WRONG: nothing was read")
}

// single is met, or an error if the pages are of several versions.
func (c *changing) single(versions map[uint64]bool, met error) error {
	if len(versions) > 1 {
		return c.torn(errors.New("mixed"), versions)
	}
	return met
}

// torn tells of a mix, unless the PFS itself could have shown one.
func (c *changing) torn(err error, versions map[uint64]bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for version := range versions {
		if c.slow[version] {
			return syscall.EAGAIN
		}
	}
	return fmt.Errorf("WRONG: %s: %w, versions %v", filepath.Base(c.path), err, versions)
}

// TestChangingFiles: files are replaced, rewritten in place, touched and removed while they are read, on
// three nodes, with little memory. Each reader sees one version or an error, never a mix, never
// anything filled up. In the end, after a clear, all see the last one.
func TestChangingFiles(t *testing.T) {
	const nodes, readers, lasts = 3, 3, 8 * time.Second
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("COPPER_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("COPPER_SEED=%d", seed)
	for name, c := range map[string]struct {
		tick  time.Duration // of the PFS's clock
		pause time.Duration // between two changes
	}{
		"fine times":    {0, 20 * time.Millisecond},
		"whole seconds": {time.Second, 150 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			backing := t.TempDir()
			var files []*changing
			for i, size := range []int64{5000, 300_000, 1 << 20, 3 << 20, 34 << 20} { // the last in three stripes
				f := &changing{path: filepath.Join(backing, fmt.Sprint("file", i)), size: size, version: 1, slow: map[uint64]bool{}}
				must(t, os.WriteFile(f.path, f.content(1), 0o644))
				files = append(files, f)
			}
			dir, _ := uncached(t, backing, nodes, slowfs.Options{Tick: c.tick})
			job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir), Args: append([]string{"-T", "3"}, smallest...)})
			done := make(chan struct{})
			var running sync.WaitGroup
			var whole, stale, gone, other atomic.Int64
			for node := range nodes {
				for r := range readers {
					random := rand.New(rand.NewPCG(seed, uint64(node*readers+r)))
					running.Go(func() {
						for {
							select {
							case <-done:
								return
							default:
							}
							_, err := files[random.IntN(len(files))].read(job.Mount(node), random)
							switch {
							case err == nil:
								whole.Add(1)
							case errors.Is(err, syscall.ESTALE):
								stale.Add(1)
							case errors.Is(err, syscall.ENOENT):
								gone.Add(1)
							case errors.Is(err, syscall.EAGAIN):
								other.Add(1)
							default:
								t.Error(err)
							}
						}
					})
				}
			}
			random := rand.New(rand.NewPCG(seed, 99))
			for end := time.Now().Add(lasts / 2); time.Now().Before(end) && !t.Failed(); {
				weights := []int{0, 0, 1, 1, 2, 2, 3, 3, 3, 4}
				if err := files[weights[random.IntN(len(weights))]].change(random); err != nil {
					t.Error(err)
				}
				time.Sleep(c.pause) // how fast files change is what is tested
			}
			close(done)
			running.Wait()
			t.Logf("%d times whole, %d ESTALE, %d ENOENT, %d while it was written slowly", whole.Load(), stale.Load(), gone.Load(), other.Load())
			if whole.Load() == 0 {
				t.Error("nobody ever read a file whole")
			}
			if _, err := job.Run(context.Background(), "clear"); err != nil {
				t.Fatal(err)
			}
			for node := range nodes {
				for _, f := range files {
					if got, err := f.read(job.Mount(node), random); got != f.version || err != nil {
						t.Errorf("node %d, after a clear: version %d, %v; want %d of %s", node, got, err, f.version, f.path)
					}
				}
			}
		})
	}
}

// TestNewFilesAppear: a name that is not there appears on every node, at every depth of the tree, when
// the lifetime of "not there" is over; also where the PFS's clock shows whole seconds, so that its
// directory looks unchanged.
func TestNewFilesAppear(t *testing.T) {
	const nodes, rounds, lifetime = 4, 6, 400 * time.Millisecond
	backing := t.TempDir()
	must(t, os.Mkdir(backing+"/dir", 0o755))
	dir, _ := uncached(t, backing, nodes, slowfs.Options{Tick: time.Second})
	job := start(t, cluster.Options{Dir: dir, Nodes: nodes, Target: cluster.Target(dir),
		Args: append([]string{"-E", strconv.Itoa(int(lifetime.Milliseconds()))}, tree...)})
	var longest time.Duration
	for round := range rounds {
		name := fmt.Sprintf("dir/new%d", round)
		for node := range nodes {
			for _, missing := range []string{name, name + ".none"} { // by name, then from the listing
				if _, err := os.Stat(filepath.Join(job.Mount(node), missing)); !errors.Is(err, syscall.ENOENT) {
					t.Fatalf("node %d: %s: %v", node, missing, err)
				}
			}
			if names, err := os.ReadDir(filepath.Join(job.Mount(node), "dir")); err != nil || len(names) != round {
				// Within the lifetime of a listing a name may be missing, but never for longer.
				await(t, "the listing to have all names", func() bool {
					names, err := os.ReadDir(filepath.Join(job.Mount(node), "dir"))
					return err == nil && len(names) == round
				})
			}
		}
		must(t, os.WriteFile(filepath.Join(backing, name), []byte(name), 0o644))
		made := time.Now()
		for node := range nodes {
			await(t, "a new file to appear", func() bool {
				content, err := os.ReadFile(filepath.Join(job.Mount(node), name))
				if err != nil && !errors.Is(err, syscall.ENOENT) {
					t.Fatalf("node %d: %v", node, err)
				}
				return err == nil && string(content) == name
			})
		}
		longest = max(longest, time.Since(made))
	}
	t.Logf("lifetime %v: on all nodes after %v at the latest", lifetime, longest.Round(time.Millisecond))
}

// TestDirectoryChangesWhileListed: a directory that gets a name while it is read is read again.
func TestDirectoryChangesWhileListed(t *testing.T) {
	backing := faultyTree(t, []string{"readdir in the middle"})
	many := "/readdir in the middle/many"
	dir, server := uncached(t, backing, 2, slowfs.Options{})
	job := start(t, cluster.Options{Dir: dir, Nodes: 2, Target: cluster.Target(dir), Args: append([]string{"-T", "1"}, lifetime...)})
	strike(t, server, slowfs.Fault{Op: slowfs.OpReadDir, Prefix: many, From: behindFirst, Stall: true, Times: 1})
	cmd := exec.Command("ls", job.Mount(1)+many)
	var names strings.Builder
	cmd.Stdout = &names
	must(t, cmd.Start())
	await(t, "the listing to stall", func() bool { return server.Counts().Stalled == 1 })
	must(t, os.WriteFile(backing+many+"/added", nil, 0o644))
	server.ClearFaults()
	must(t, cmd.Wait())
	if n := strings.Count(names.String(), "\n"); n != faultyNames+1 || !strings.Contains(names.String(), "added\n") {
		t.Errorf("%d names listed, want %d with the one that was added meanwhile", n, faultyNames+1)
	}
	for node := range 2 {
		if _, err := os.Stat(job.Mount(node) + many + "/added"); err != nil {
			t.Errorf("node %d: %v", node, err)
		}
	}
}

// TestDirectoryBecomesLink: what a kernel knows below a directory that was replaced by a link is found
// where that leads, at the next access.
func TestDirectoryBecomesLink(t *testing.T) {
	backing := t.TempDir()
	for _, v := range []string{"env-1", "env-2"} {
		must(t, os.MkdirAll(filepath.Join(backing, v, "lib", "pkg"), 0o755))
		for _, f := range []string{"a", "b", "c"} {
			must(t, os.WriteFile(filepath.Join(backing, v, "lib", "pkg", f), []byte(v), 0o644))
		}
	}
	must(t, os.Rename(backing+"/env-1", backing+"/env"))
	job := start(t, cluster.Options{Nodes: 2, Target: backing, Args: []string{"-T", "2", "-E", "100"}})
	for node := range 2 {
		if got, err := os.ReadFile(job.Mount(node) + "/env/lib/pkg/a"); string(got) != "env-1" {
			t.Fatal(string(got), err)
		}
	}
	must(t, os.Rename(backing+"/env", backing+"/env-1"))
	must(t, os.Symlink("env-2", backing+"/env"))
	for node := range 2 {
		if got, err := os.ReadFile(job.Mount(node) + "/env/lib/pkg/b"); string(got) != "env-2" {
			t.Errorf("node %d: %q, %v", node, got, err)
		}
		if names, err := os.ReadDir(job.Mount(node) + "/env/lib/pkg"); len(names) != 3 {
			t.Errorf("node %d: %v, %v", node, names, err)
		}
	}
}

// TestClear: when copper clear returns, every node shows what is behind it, whatever was asked
// meanwhile; below a prefix, if it was given one; and open files have nothing of the old either.
func TestClear(t *testing.T) {
	const nodes = 4
	backing := t.TempDir()
	write := func(round int) {
		for _, d := range []string{"/a/deep", "/b"} {
			must(t, os.MkdirAll(backing+d, 0o755))
			for f := range 3 {
				path := fmt.Sprintf("%s%s/f%d", backing, d, f)
				must(t, os.WriteFile(path+".new", []byte(fmt.Sprintf("%0*d", 5000+round, round)), 0o644))
				must(t, os.Rename(path+".new", path))
			}
		}
		must(t, os.WriteFile(fmt.Sprintf("%s/a/added%d", backing, round), nil, 0o644))
	}
	write(0)
	job := start(t, cluster.Options{Nodes: nodes, Target: backing, Args: append(append([]string{}, tree...), lifetime...)})
	shows := func(node int, path string, round int) error {
		content, err := os.ReadFile(job.Mount(node) + path)
		if err != nil {
			return err
		}
		if got, _ := strconv.Atoi(string(content)); got != round || len(content) != 5000+round {
			return fmt.Errorf("%s: round %d with %d bytes, want %d", path, got, len(content), round)
		}
		return nil
	}
	// Everybody asks all the time, so that old answers are always under way.
	done := make(chan struct{})
	var running sync.WaitGroup
	for node := range nodes {
		for f := range 3 {
			running.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					for _, d := range []string{"/a/deep", "/b"} {
						_, _ = os.ReadFile(fmt.Sprintf("%s%s/f%d", job.Mount(node), d, f)) // ESTALE is right, while it changes
						_, _ = os.ReadDir(job.Mount(node) + d)
					}
				}
			})
		}
	}
	defer running.Wait()
	defer close(done)
	for round := 1; round <= 6; round++ {
		prefix, below := "/a", true
		if round%2 == 0 {
			prefix, below = "/", false
		}
		var open []*os.File
		page := make([]byte, 16)
		for node := range nodes {
			f, err := os.Open(job.Mount(node) + "/a/deep/f0")
			must(t, err)
			defer f.Close()
			if _, err := f.ReadAt(page, 0); err != nil && !errors.Is(err, syscall.ESTALE) {
				t.Error(err)
			}
			open = append(open, f)
		}
		write(round)
		if _, err := job.Run(context.Background(), "clear", prefix); err != nil {
			t.Fatal(err)
		}
		for node := range nodes {
			for f := range 3 {
				if err := shows(node, fmt.Sprintf("/a/deep/f%d", f), round); err != nil {
					t.Errorf("round %d, node %d, clear %s: %v", round, node, prefix, err)
				}
				if err := shows(node, fmt.Sprintf("/b/f%d", f), round); !below && err != nil {
					t.Errorf("round %d, node %d: %v", round, node, err)
				}
			}
			if _, err := os.Stat(fmt.Sprintf("%s/a/added%d", job.Mount(node), round)); err != nil {
				t.Errorf("round %d, node %d: a new name: %v", round, node, err)
			}
			if n, err := open[node].ReadAt(page, 0); !errors.Is(err, syscall.ESTALE) {
				t.Errorf("round %d, node %d: an open file still gives %q (%v)", round, node, page[:n], err)
			}
		}
	}
}

// TestAllow: what is not allowed is refused, to the kernel and to other nodes, and does not show.
func TestAllow(t *testing.T) {
	backing := t.TempDir()
	for _, f := range []string{"/lus/env/lib/a", "/lus/secret/key", "/home/me/key"} {
		must(t, os.MkdirAll(filepath.Dir(backing+f), 0o755))
		must(t, os.WriteFile(backing+f, []byte(f), 0o644))
	}
	must(t, os.Symlink("../secret/key", backing+"/lus/env/out"))
	must(t, os.Symlink("lib/a", backing+"/lus/env/in"))
	refused := func(t *testing.T, mount string, paths ...string) {
		t.Helper()
		for _, p := range paths {
			if got, err := os.ReadFile(mount + p); !errors.Is(err, syscall.EACCES) {
				t.Errorf("%s: %q, %v", p, got, err)
			}
			if got, err := os.ReadDir(mount + p); !errors.Is(err, syscall.EACCES) {
				t.Errorf("%s: %v, %v", p, got, err)
			}
		}
	}
	job := start(t, cluster.Options{Nodes: 2, Target: backing, Args: []string{"-T", "2", "--allow", "/lus/env", "--allow", "/none"}})
	for node := range 2 {
		mount := job.Mount(node)
		for _, p := range []string{"/lus/env/lib/a", "/lus/env/in"} {
			if got, err := os.ReadFile(mount + p); string(got) != "/lus/env/lib/a" {
				t.Errorf("%s: %q, %v", p, got, err)
			}
		}
		refused(t, mount, "/lus/secret", "/lus/secret/key", "/lus/env/out", "/home", "/home/me/key", "/etc", "/lus/none")
		for dir, want := range map[string]string{"/": "[lus]", "/lus": "[env]", "/lus/env": "[in lib out]"} {
			entries, err := os.ReadDir(mount + dir)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if fmt.Sprint(names) != want || err != nil {
				t.Errorf("ls %s: %v, %v; want %s", dir, names, err, want)
			}
		}
		if _, err := os.Stat(mount + "/none"); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("an allowed path that does not exist: %v", err)
		}
	}

	t.Run("peer", func(t *testing.T) {
		bin := t.TempDir() // where rank 0, the root, is narrower than the other
		must(t, os.WriteFile(bin+"/copper", []byte("#!/bin/sh\n"+
			`if [ "$OMPI_COMM_WORLD_RANK" = 0 ]; then export COPPER_ALLOW=/lus/env; fi`+"\n"+
			`exec `+binary(t, "copper")+` "$@"`+"\n"), 0o755))
		t.Setenv("COPPER_E2E", bin)
		s := bare(t, "copper", "2", append([]string{"--target", backing}, tree...)...)
		if got, err := os.ReadFile(s.Mount(1) + "/lus/env/lib/a"); string(got) != "/lus/env/lib/a" {
			t.Errorf("%q, %v", got, err)
		}
		refused(t, s.Mount(1), "/lus/secret", "/home")
		s.finish()
	})
}
