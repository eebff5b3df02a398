package fuse

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
		src, _ := realSource(t, dir, storetest.Lifetime)
		m, mnt := mount(t, Options{Source: src})
		src.OnChange = m.Changed
		// The suite uses the mount from this process, whose runtime would block on a POLL.
		runHelper(t, "poll", mnt+"/lib/program")
		return view{storetest.Plain{Dir: mnt, Mem: storetest.Memory(t, 64<<20)}, m, src}
	})
}

// view looks at a mount. That a version is gone is told to the store behind, whence it reaches the
// kernel.
type view struct {
	storetest.Plain
	mount  *Mount
	behind store.Source
}

func (v view) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	if stale != (store.Version{}) {
		old, err := v.behind.Stat(ctx, path, store.Version{})
		if err != nil {
			return store.Attr{}, err
		}
		if _, err = v.behind.Stat(ctx, path, old.Version()); err != nil {
			return store.Attr{}, err
		}
		if err := v.mount.Flush(ctx); err != nil {
			return store.Attr{}, err
		}
	}
	return v.Plain.Stat(ctx, path, store.Version{})
}

func TestContent(t *testing.T) {
	dir := t.TempDir()
	var files []string
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 4095, 4096, 131073, store.ChunkSize - 1, store.ChunkSize, store.ChunkSize + 1, 5*store.ChunkSize + 777} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		name := fmt.Sprintf("size%d", size)
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
		files = append(files, name)
	}
	src, _ := realSource(t, dir, time.Second)
	m, mnt := mount(t, Options{Source: src})
	for _, name := range files {
		runHelper(t, "same", mnt+"/"+name, dir+"/"+name)
		run(t, exec.Command("cmp", mnt+"/"+name, dir+"/"+name))
	}
	big := files[len(files)-1]
	for _, r := range [][2]int{
		{store.ChunkSize / 2, store.ChunkSize}, {4096, store.ChunkSize}, {0, store.ChunkSize}, {store.ChunkSize - 512, 1024},
		{5 * store.ChunkSize, store.ChunkSize}, {5*store.ChunkSize + 1024, 4096}, {6 * store.ChunkSize, 4096},
	} {
		runHelper(t, "direct", mnt+"/"+big, dir+"/"+big, fmt.Sprint(r[0]), fmt.Sprint(r[1]))
	}
	if m.Stats().ReadBytes == 0 {
		t.Error("no bytes counted")
	}
}

func TestExec(t *testing.T) {
	dir := t.TempDir()
	shell(t, `cp "$(command -v ls)" "$1/program"; printf '#!%s\necho script "$@"\n' "$2/program-sh" > "$1/script"; cp "$(command -v sh)" "$1/program-sh"; chmod +x "$1/script"`, dir, "/dev/null")
	src, _ := realSource(t, dir, time.Second)
	_, mnt := mount(t, Options{Source: src})
	if out := shell(t, `"$1/program" "$1"`, mnt); out != "program\nprogram-sh\nscript\n" {
		t.Errorf("ls through the mount: %q", out)
	}
	if out := shell(t, `"$1/program-sh" -c 'echo hello'`, mnt); out != "hello\n" {
		t.Errorf("sh through the mount: %q", out)
	}
}

func TestMutationsAreRefused(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("content"))
	tree.Mkdir("/dir")
	m, mnt := mount(t, Options{Source: tree})
	lines := strings.Split(strings.TrimSpace(runHelper(t, "mutate", mnt)), "\n")
	if len(lines) < 20 {
		t.Errorf("only %d mutations tried", len(lines))
	}
	for _, l := range lines {
		if !strings.HasSuffix(l, ": EROFS") {
			t.Error(l)
		}
	}
	if n := m.Stats().Requests["MUTATION"]; n != 0 {
		t.Errorf("%d mutations reached the daemon; the kernel should refuse them", n)
	}
	if out := shell(t, `cat "$1/file"`, mnt); out != "content" {
		t.Errorf("content afterwards: %q", out)
	}
}

func TestSymlinksAreCached(t *testing.T) {
	tree := newTree(t)
	tree.Link("/link", "some/where")
	m, mnt := mount(t, Options{Source: tree})
	got := warmRequests(t, m, func() {
		if out := shell(t, `readlink "$1/link"`, mnt); out != "some/where\n" {
			t.Errorf("readlink: %q", out)
		}
	})
	if len(got) != 0 || m.Stats().Requests["READLINK"] == 0 {
		t.Errorf("the second time the kernel asked %v", got)
	}
	tree.Link("/link", "else/where")
	m.Changed("/link")
	flush(t, m)
	if out := shell(t, `readlink "$1/link"`, mnt); out != "else/where\n" {
		t.Errorf("changed link: %q", out)
	}
}

func TestHugeDirectory(t *testing.T) {
	const entries = 100_000
	tree := newTree(t)
	for i := range entries {
		tree.Write(fmt.Sprintf("/huge/a-file-with-a-name-%06d", i), nil)
	}
	m, mnt := mount(t, Options{Source: tree})
	want := fmt.Sprint(entries + 2)
	if out := runHelper(t, "names", mnt+"/huge"); !strings.HasPrefix(out, want+" ") {
		t.Errorf("got %.40s, want %s names", out, want)
	}
	if n := tree.Count("readdir", "/huge"); n != 1 {
		t.Errorf("the Source was asked %d times", n)
	}
	got := warmRequests(t, m, func() {
		if out := shell(t, `ls -f "$1/huge" | wc -l`, mnt); strings.TrimSpace(out) != want {
			t.Errorf("second time: %s names, want %s", out, want)
		}
	})
	if len(got) != 0 {
		t.Errorf("the second time the kernel asked %v", got)
	}
}

func TestDirectoryStreamsDoNotMix(t *testing.T) {
	tree := newTree(t)
	const entries = 20_000
	for i := range entries {
		tree.Write(fmt.Sprintf("/dir/old-file-with-a-long-name-%06d", i), nil)
	}
	m, mnt := mount(t, Options{Source: tree})
	cmd := helperCommand("names", mnt+"/dir", "pause")
	in, out := talk(t, cmd)
	if line := out(); !strings.HasPrefix(line, "paused") {
		t.Fatal(line)
	}
	for i := range 1000 {
		tree.Remove(fmt.Sprintf("/dir/old-file-with-a-long-name-%06d", i*2))
		tree.Write(fmt.Sprintf("/dir/new-file-%06d", i), nil)
	}
	m.Changed("/dir")
	flush(t, m)
	if got := runHelper(t, "names", mnt+"/dir"); !strings.HasPrefix(got, fmt.Sprint(entries+2, " ")) {
		t.Errorf("a new stream: %.60s", got)
	}
	in("go on")
	// The stream of before the change sees what was there when it began: its names once each.
	if got := out(); !strings.HasPrefix(got, fmt.Sprint(entries+2, " ")) {
		t.Errorf("the old stream: %.60s, want %d names", got, entries+2)
	}
	must(t, cmd.Wait())
}

func TestAbsenceIsRemembered(t *testing.T) {
	tree := newTree(t)
	tree.Mkdir("/dir")
	m, mnt := mount(t, Options{Source: tree})
	probe := func(want, path string, lookups uint64) {
		t.Helper()
		before := reclaimed(t)
		got := newRequests(m, func() {
			if out := runHelper(t, "stat", mnt+path, mnt+path); out != want+"\n"+want+"\n" {
				t.Errorf("%s: %q, want %s twice", path, out, want)
			}
		})
		if got["LOOKUP"] != lookups && reclaimed(t) == before {
			t.Errorf("%s: %v, want %d LOOKUP", path, got, lookups)
		}
	}
	runHelper(t, "stat", mnt+"/dir")
	probe("ENOENT", "/dir/absent", 1)
	probe("ENOENT", "/dir/absent", 0)
	probe("ENOENT", "/absent", 1)

	tree.Write("/dir/absent", []byte("here"))
	tree.Write("/absent", []byte("here"))
	m.Changed("/dir/absent")
	m.Changed("/absent")
	flush(t, m)
	probe("ok", "/dir/absent", 1)
	probe("ok", "/absent", 1)

	probe("ENOENT", "/later", 1)
	probe("ENOENT", "/dir/later", 1)
	tree.Write("/later", nil)
	tree.Write("/dir/later", nil)
	m.ChangedAll()
	flush(t, m)
	probe("ok", "/later", 1)
	probe("ok", "/dir/later", 2) // and one of the directory
}

func TestExpiredAbsenceIsNotRemembered(t *testing.T) {
	tree := newTree(t)
	tree.Lifetime = 0
	m, mnt := mount(t, Options{Source: tree})
	got := newRequests(m, func() {
		if out := runHelper(t, "stat", mnt+"/absent", mnt+"/absent"); out != "ENOENT\nENOENT\n" {
			t.Errorf("got %q", out)
		}
	})
	if got["LOOKUP"] != 2 {
		t.Errorf("%v, want 2 LOOKUP", got)
	}
}

func TestErrorsKeepTheirErrno(t *testing.T) {
	tree := newTree(t)
	tree.Write("/dir/file", []byte("content"))
	tree.Link("/dir/link", "file")
	m, mnt := mount(t, Options{Source: tree})
	runHelper(t, "stat", mnt+"/dir")
	for name, errno := range map[string]syscall.Errno{
		"EIO": syscall.EIO, "EACCES": syscall.EACCES, "ESTALE": syscall.ESTALE, "ENOTDIR": syscall.ENOTDIR, "ETIMEDOUT": syscall.ETIMEDOUT,
	} {
		path := "/dir/" + name
		tree.Write(path, nil)
		tree.Fail("lstat", path, errno)
		for range 2 {
			got := newRequests(m, func() {
				if out := runHelper(t, "stat", mnt+path); out != name+"\n" {
					t.Errorf("got %q, want %s", out, name)
				}
			})
			if got["LOOKUP"] == 0 {
				t.Errorf("%s was remembered", name)
			}
		}
		tree.Fail("lstat", path, 0)
		if out := runHelper(t, "stat", mnt+path); out != "ok\n" {
			t.Errorf("after %s: %q", name, out)
		}
	}
	if out := runHelper(t, "stat", mnt+"/dir/"+strings.Repeat("n", 256)); out != "ENAMETOOLONG\n" {
		t.Errorf("a name of 256 bytes: %q", out)
	}

	tree.Fail("read", "/dir/file", syscall.EIO)
	tree.Fail("readdir", "/dir", syscall.EACCES)
	tree.Fail("readlink", "/dir/link", syscall.EIO)
	for script, want := range map[string]string{
		`cat "$1/dir/file"`:         "Input/output error",
		`ls "$1/dir"`:               "Permission denied",
		`readlink -v "$1/dir/link"`: "Input/output error",
	} {
		out, err := exec.Command("sh", "-c", script, "sh", mnt).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s: %q (%v), want %q", script, out, err, want)
		}
	}
	tree.Fail("read", "/dir/file", 0)
	tree.Fail("readdir", "/dir", 0)
	tree.Fail("readlink", "/dir/link", 0)
	if out := shell(t, `cat "$1/dir/file"; ls "$1/dir" | wc -l; readlink "$1/dir/link"`, mnt); out != "content7\nfile\n" {
		t.Errorf("afterwards: %q", out)
	}
}

func TestSecondProcessAsksNothing(t *testing.T) {
	tree := newTree(t)
	tree.Write("/lib/module.py", bytes.Repeat([]byte("x"), 3<<20))
	tree.Write("/lib/empty", nil)
	tree.Link("/lib/link", "module.py")
	m, mnt := mount(t, Options{Source: tree})
	use := func() {
		shell(t, `cat "$1/lib/module.py" "$1/lib/link" "$1/lib/empty" | cksum; ls -lR "$1"; find "$1" -name none; test ! -e "$1/lib/missing"`, mnt)
		if out := runHelper(t, "odd", mnt+"/lib/module.py"); strings.Count(out, "isatty: ENOTTY") != 2 {
			t.Errorf("isatty: %s", out)
		}
	}
	got := warmRequests(t, m, use)
	if got["IOCTL"] == 0 {
		t.Error("isatty sent no IOCTL: the test shows nothing")
	}
	delete(got, "IOCTL")
	if len(got) != 0 {
		t.Errorf("the second process asked %v", got)
	}
}

func TestLeftToTheKernel(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("12345"))
	_, mnt := mount(t, Options{Source: tree})
	out := runHelper(t, "odd", mnt+"/file")
	for _, want := range []string{
		"isatty: ENOTTY", "getxattr: EOPNOTSUPP", "listxattr: EOPNOTSUPP", "seek hole 5: ok", "fsync: ok", "access: ok",
		"flock: ok", "fcntl: ok", "statx: ok", "open: ok", "close: ok",
	} {
		if strings.Count(out, want+"\n") != 2 {
			t.Errorf("want twice %q in\n%s", want, out)
		}
	}
}

func TestNewVersion(t *testing.T) {
	for _, announced := range []bool{false, true} {
		t.Run(fmt.Sprint("announced=", announced), func(t *testing.T) {
			tree := newTree(t)
			tree.Write("/dir/file", bytes.Repeat([]byte("old"), 2<<20))
			m, mnt := mount(t, Options{Source: tree})
			cmd := helperCommand("stale", mnt+"/dir/file")
			in, out := talk(t, cmd)
			if line := out(); line != "opened" {
				t.Fatal(line)
			}
			tree.Write("/dir/file", bytes.Repeat([]byte("new"), 1<<20))
			if announced {
				m.Changed("/dir/file")
				flush(t, m)
				if out := shell(t, `head -c 3 "$1"`, mnt+"/dir/file"); out != "new" {
					t.Errorf("another process reads %q", out)
				}
			}
			in("go on")
			if line := out(); line != "old: ESTALE" {
				t.Errorf("the open file: %s", line)
			}
			if line := out(); line != fmt.Sprintf("new: %d %q", 3<<20, "new") {
				t.Errorf("opened again: %s", line)
			}
			must(t, cmd.Wait())
		})
	}
}

func TestStatFS(t *testing.T) {
	tree := newTree(t)
	tree.Mkdir("/dir")
	var asked atomic.Value
	_, mnt := mount(t, Options{Source: tree, StatFS: func(path string) (unix.Statfs_t, error) {
		asked.Store(path)
		if path == "/" {
			return unix.Statfs_t{}, &store.Error{Op: "statfs", Path: path, Errno: syscall.EIO}
		}
		return unix.Statfs_t{Blocks: 1000, Bfree: 500, Bavail: 400, Files: 30, Ffree: 20, Bsize: 4096, Frsize: 4096, Namelen: 255}, nil
	}})
	if out := shell(t, `stat -f -c '%b %f %a %c %d %S %l' "$1/dir"`, mnt); out != "1000 500 400 30 20 4096 255\n" {
		t.Errorf("statfs: %q", out)
	}
	if asked.Load() != "/dir" {
		t.Errorf("asked for %v", asked.Load())
	}
	if out, err := exec.Command("stat", "-f", mnt).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("Input/output error")) {
		t.Errorf("a failing statfs: %q (%v)", out, err)
	}
}

// twoFileSystems gives everything below /other the numbers of another file system.
type twoFileSystems struct{ *storetest.Tree }

func (s twoFileSystems) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	a, err := s.Tree.Stat(ctx, path, stale)
	switch path {
	case "/":
		a.Ino = 2
	case "/other": // as the root of another file system
		a.Dev, a.Ino = 77, 2
	case "/other/a", "/other/b": // one file with two names
		a.Dev, a.Ino, a.Nlink, a.Mtime, a.Ctime = 77, 4711, 2, 1, 1
	}
	return a, err
}

func TestInodeNumbers(t *testing.T) {
	tree := newTree(t)
	tree.Write("/other/a", []byte("same"))
	tree.Write("/other/b", []byte("same"))
	tree.Write("/plain", nil)
	plain, err := tree.Stat(t.Context(), "/plain", store.Version{})
	must(t, err)
	_, mnt := mount(t, Options{Source: twoFileSystems{tree}})
	out := shell(t, `cd "$1"; stat -c '%i %h' . other other/a other/b plain; find . 2>&1 | sort`, mnt)
	f := strings.Fields(out)
	root, other, a, b := f[0], f[2], f[4], f[6]
	if root != "2" || f[8] != fmt.Sprint(plain.Ino) {
		t.Errorf("the root's file system does not keep its numbers:\n%s", out)
	}
	if other == root || a == "4711" {
		t.Errorf("two file systems share numbers:\n%s", out)
	}
	if a != b || f[5] != "2" {
		t.Errorf("hard links differ:\n%s", out)
	}
	if !strings.HasSuffix(out, ".\n./other\n./other/a\n./other/b\n./plain\n") {
		t.Errorf("find:\n%s", out)
	}
}

// unsure gives listings that may lack names.
type unsure struct{ *storetest.Tree }

func (s unsure) List(ctx context.Context, dir string, known *store.Listing) (*store.Listing, error) {
	l, err := s.Tree.List(ctx, dir, known)
	if l != nil {
		l.Complete = false
	}
	return l, err
}

func TestIncompleteListingIsAskedForAgain(t *testing.T) {
	tree := newTree(t)
	tree.Write("/dir/a", nil)
	m, mnt := mount(t, Options{Source: unsure{tree}})
	for range 2 {
		got := newRequests(m, func() {
			if out := shell(t, `ls "$1/dir"`, mnt); out != "a\n" {
				t.Errorf("listing: %q", out)
			}
		})
		if got["READDIR"] == 0 {
			t.Error("the kernel kept an incomplete listing")
		}
		flush(t, m)
	}
}

// busy has no memory for the first chunks it is asked for.
type busy struct {
	*storetest.Tree
	left atomic.Int32
}

func (s *busy) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	if s.left.Add(-1) >= 0 {
		return nil, fmt.Errorf("upstream: %w", store.ErrBusy)
	}
	return s.Tree.ReadChunk(ctx, file, index)
}

func TestBusyIsNoError(t *testing.T) {
	src := &busy{Tree: newTree(t)}
	src.left.Store(3)
	src.Write("/file", []byte("content"))
	_, mnt := mount(t, Options{Source: src})
	if out := shell(t, `cat "$1/file"`, mnt); out != "content" {
		t.Errorf("content: %q", out)
	}
	if src.left.Load() >= 0 {
		t.Error("never busy")
	}
}

// shortened breaks the promise that a chunk is whole, and panics for one file.
type shortened struct {
	*storetest.Tree
	mem *store.Memory
}

func (s shortened) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	if file.Path == "/panic" {
		panic("in the Source")
	}
	return s.mem.Chunk(ctx, file.ChunkLen(index)-1)
}

func TestBrokenSource(t *testing.T) {
	mem := storetest.Memory(t, 64<<20)
	tree := storetest.NewTree(mem)
	tree.Write("/short", []byte("content"))
	tree.Write("/panic", []byte("content"))
	_, mnt := mount(t, Options{Source: shortened{tree, mem}})
	for _, name := range []string{"/short", "/panic"} {
		out, err := exec.Command("cat", mnt+name).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("Input/output error")) {
			t.Errorf("%s: %q (%v), want EIO", name, out, err)
		}
	}
}
