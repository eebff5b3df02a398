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
