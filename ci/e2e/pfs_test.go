package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/slowfs"
)

// uncached starts a slow file system whose clients remember nothing, so that every fault is met.
func uncached(t *testing.T, backing string, nodes int, o slowfs.Options) (string, *slowfs.Server) {
	t.Helper()
	dir := t.TempDir()
	o.CacheLifetime = -1
	server, err := cluster.PFS(dir, backing, nodes, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, server
}

func strike(t *testing.T, server *slowfs.Server, f slowfs.Fault) {
	t.Helper()
	if err := server.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

const (
	faultyFile  = 3<<20 + 1234 // bytes; several chunks
	faultFrom   = 2 << 20      // where faults in the middle begin: a chunk's beginning
	faultyNames = 1100         // of which more than one request is needed
	behindFirst = 1            // a fault from there strikes the second request
)

// text is n bytes that shrink when compressed and lie nowhere twice.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of a file that is compared\n", i)
	}
	return b.Bytes()[:n]
}

// way is a way to reach a file that can fail. ask is what an application does, on a directory of
// the case's own; it checks the answer if there is one.
type way struct {
	name  string
	fault slowfs.Fault // Prefix is below the case's directory
	ask   func(dir string) error
}

var ways = []way{
	{"lookup", slowfs.Fault{Op: slowfs.OpLookup, Prefix: "/file"}, func(dir string) error {
		info, err := os.Lstat(dir + "/file")
		if err == nil && info.Size() != faultyFile {
			err = fmt.Errorf("lstat: %d bytes", info.Size())
		}
		return err
	}},
	{"getattr", slowfs.Fault{Op: slowfs.OpGetAttr, Prefix: "/file"}, readsWhole},
	{"open", slowfs.Fault{Op: slowfs.OpOpen, Prefix: "/file"}, readsWhole},
	{"read", slowfs.Fault{Op: slowfs.OpRead, Prefix: "/file"}, readsWhole},
	{"read in the middle", slowfs.Fault{Op: slowfs.OpRead, Prefix: "/file", From: faultFrom}, readsWhole},
	{"pread in the middle", slowfs.Fault{Op: slowfs.OpRead, Prefix: "/file", From: faultFrom}, readsHereAndThere},
	{"opendir", slowfs.Fault{Op: slowfs.OpOpenDir, Prefix: "/sub"}, listsAll},
	{"readdir", slowfs.Fault{Op: slowfs.OpReadDir, Prefix: "/sub"}, listsAll},
	{"readdir in the middle", slowfs.Fault{Op: slowfs.OpReadDir, Prefix: "/many", From: behindFirst}, func(dir string) error {
		names, err := os.ReadDir(dir + "/many")
		if err == nil && len(names) != faultyNames {
			err = fmt.Errorf("readdir: %d names", len(names))
		}
		return err
	}},
	{"readlink", slowfs.Fault{Op: slowfs.OpReadLink, Prefix: "/link"}, func(dir string) error {
		target, err := os.Readlink(dir + "/link")
		if err == nil && target != "file" {
			err = fmt.Errorf("readlink: %q", target)
		}
		return err
	}},
	{"lookup of a directory", slowfs.Fault{Op: slowfs.OpLookup, Prefix: "/sub"}, func(dir string) error {
		_, err := os.Stat(dir + "/sub/deep/name")
		return err
	}},
}

// readsWhole reads the file from front to back. What comes before an error must be right.
func readsWhole(dir string) error {
	f, err := os.Open(dir + "/file")
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if want := text(faultyFile); !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want) {
		return fmt.Errorf("read: %d bytes, not those of the file, then %s", len(got), fmt.Sprint(err))
	}
	return err
}

// readsHereAndThere makes the daemon push the file into the page cache.
func readsHereAndThere(dir string) error {
	f, err := os.Open(dir + "/file")
	if err != nil {
		return err
	}
	defer f.Close()
	want := text(faultyFile)
	var failed error
	for _, off := range []int64{0, faultFrom - 8192, 4096, faultyFile - 4096, faultFrom / 2, 8192, faultFrom + 77, 0} {
		got := make([]byte, 4096)
		n, err := f.ReadAt(got, off)
		switch {
		case n > 0 && !bytes.Equal(got[:n], want[off:off+int64(n)]):
			return fmt.Errorf("pread at %d: wrong bytes", off)
		case err != nil && off < faultFrom-8192:
			return fmt.Errorf("pread at %d, before the fault: %w", off, err)
		case err != nil:
			failed = err
		}
	}
	return failed
}

func listsAll(dir string) error {
	names, err := os.ReadDir(dir + "/sub")
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return fmt.Errorf("readdir: %v", names)
	}
	if _, err := os.Lstat(dir + "/sub/none"); !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("a name that is not there: %w", err)
	}
	_, err = os.Lstat(dir + "/sub/deep")
	return err
}

// faultyTree makes a directory for each case.
func faultyTree(t *testing.T, cases []string) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.WriteFile(root+"/file", text(faultyFile), 0o644))
	for _, c := range cases {
		dir := filepath.Join(root, c)
		must(t, os.MkdirAll(dir+"/sub/deep", 0o755))
		must(t, os.Link(root+"/file", dir+"/file"))
		must(t, os.WriteFile(dir+"/sub/other", nil, 0o644))
		must(t, os.WriteFile(dir+"/sub/deep/name", nil, 0o644))
		must(t, os.Symlink("file", dir+"/link"))
		if !strings.HasPrefix(c, "readdir in the middle") {
			continue
		}
		must(t, os.Mkdir(dir+"/many", 0o755))
		for i := range faultyNames {
			must(t, os.WriteFile(fmt.Sprintf("%s/many/%s%d", dir, strings.Repeat("n", 240), i), nil, 0o644))
		}
	}
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPFSErrors: whatever goes wrong at the PFS reaches whoever asked, on every node, with its own
// errno, by whichever way; and it is over everywhere as soon as it is over there. Then the same
// without the root, whose part another node plays.
func TestPFSErrors(t *testing.T) {
	errnos := []syscall.Errno{syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EACCES, syscall.ENAMETOOLONG,
		syscall.ELOOP, syscall.ENOSPC, syscall.EREMOTEIO}
	few := errnos[:2]
	for compress, errnos := range map[string][]syscall.Errno{"off": errnos, "zstd": few} {
		t.Run(compress, func(t *testing.T) {
			const nodes = 3
			name := func(w way, errno syscall.Errno, root string) string {
				return fmt.Sprint(w.name, " ", int(errno), " ", root)
			}
			var cases []string
			for _, w := range ways {
				for _, errno := range errnos {
					cases = append(cases, name(w, errno, "root"))
				}
				for _, errno := range few {
					cases = append(cases, name(w, errno, "acting root"))
				}
			}
			dir, server := uncached(t, faultyTree(t, cases), nodes, slowfs.Options{})
			s := bare(t, "copper", "3", append([]string{"--target", cluster.Target(dir), "--compress", compress}, tree...)...)
			turn := 0
			try := func(w way, errno syscall.Errno, root string, ranks ...int) {
				f := w.fault
				c := "/" + name(w, errno, root)
				f.Prefix, f.Errno = c+f.Prefix, errno
				strike(t, server, f)
				turn++
				for i := range 3 { // the first one asks twice
					rank := ranks[(turn+i/2)%len(ranks)]
					if err := w.ask(s.Mount(rank) + c); !errors.Is(err, errno) {
						t.Errorf("%s: rank %d: %v, want %v", c, rank, err, errno)
					}
				}
				server.ClearFaults()
				for i := range ranks {
					rank := ranks[(turn+1+i)%len(ranks)]
					if err := w.ask(s.Mount(rank) + c); err != nil {
						t.Errorf("%s: rank %d, after the fault: %v", c, rank, err)
					}
				}
			}
			for _, w := range ways {
				for _, errno := range errnos {
					try(w, errno, "root", 0, 1, 2)
				}
			}
			for i := range s.Nodes {
				if n, ok := s.node(i); !ok || n.Failovers > 0 || n.DirectReads > 0 {
					t.Errorf("rank %d: %d failovers, %d direct reads: an error of the PFS is an answer", i, n.Failovers, n.DirectReads)
				}
			}
			root, _ := s.node(0)
			kill(t, root.Supervisor, syscall.SIGSTOP) // or it starts another
			kill(t, root.PID, syscall.SIGSTOP)
			for _, w := range ways {
				for _, errno := range few {
					try(w, errno, "acting root", 1, 2)
				}
			}
			kill(t, root.PID, syscall.SIGCONT)
			kill(t, root.Supervisor, syscall.SIGCONT)
			if s.failovers(0) == 0 {
				t.Error("nobody acted as the root")
			}
			s.trusted()
			s.finish()
		})
	}
}

// TestPFSErrorsOfPrograms: programs that meet an error of the PFS fail, and work when it is over.
func TestPFSErrorsOfPrograms(t *testing.T) {
	program, err := os.ReadFile("/bin/true")
	must(t, err)
	// $1 is the case's directory in the mount, $2 the one behind it, $3 one to write to.
	scripts := []struct{ script, says string }{
		{`cmp "$1/file" "$2/file"`, ""},
		{`cat "$1/file" >"$3/file"; echo $?; cmp "$3/file" "$2/file"`, ""},
		{`cp "$1/file" "$3" && cmp "$3/file" "$2/file"`, ""},
		{`exec "$1/program"`, "program"},
		{`python3 -c 'import mmap, sys
f = open(sys.argv[1] + "/file", "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
sys.exit(m[2500000:2500005] != open(sys.argv[2] + "/file", "rb").read()[2500000:2500005])' "$1" "$2"`, "Bus error"},
		{`ls "$1/dir"`, ""},
		{`find "$1/dir" -name sub`, ""},
	}
	errnos := []syscall.Errno{syscall.EIO, syscall.ETIMEDOUT}
	backing := t.TempDir()
	for i := range scripts {
		for _, errno := range errnos {
			dir := fmt.Sprintf("%s/%d %d", backing, i, errno)
			must(t, os.MkdirAll(dir+"/dir/sub", 0o755))
			must(t, os.WriteFile(dir+"/file", text(faultyFile), 0o644))
			must(t, os.WriteFile(dir+"/program", program, 0o755))
		}
	}
	dir, server := uncached(t, backing, 2, slowfs.Options{})
	job := start(t, cluster.Options{Dir: dir, Nodes: 2, Target: cluster.Target(dir), Args: []string{"-T", "1"}})
	for i, c := range scripts {
		for _, errno := range errnos {
			// By a shell: this process answers for the PFS meanwhile.
			run := func(node int) (string, error) {
				own := fmt.Sprintf("/%d %d", i, errno)
				cmd := exec.Command("sh", "-c", c.script+"\nexit $?", "sh", job.Mount(node)+own, backing+own, t.TempDir())
				cmd.Env = append(os.Environ(), "LC_ALL=C")
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			strike(t, server, slowfs.Fault{Op: slowfs.OpRead, Errno: errno})
			strike(t, server, slowfs.Fault{Op: slowfs.OpOpenDir, Errno: errno})
			want := c.says
			if want == "" {
				want = errno.Error()
			}
			if out, err := run(1); err == nil || !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
				t.Errorf("%v: %s: %v, %q", errno, c.script, err, out)
			}
			server.ClearFaults()
			for node := range 2 {
				if out, err := run(node); err != nil {
					t.Errorf("%v: node %d, after the fault: %s: %v, %q", errno, node, c.script, err, out)
				}
			}
		}
	}
}

// TestPFSStaleOnce: a handle that the PFS has just made anew (NFS, Lustre after an eviction) reaches no
// application.
func TestPFSStaleOnce(t *testing.T) {
	var cases []string
	for _, w := range ways {
		cases = append(cases, w.name)
	}
	dir, server := uncached(t, faultyTree(t, cases), 2, slowfs.Options{})
	job := start(t, cluster.Options{Dir: dir, Nodes: 2, Target: cluster.Target(dir), Args: []string{"-T", "1"}})
	for i, w := range ways {
		f := w.fault
		f.Prefix, f.Errno, f.Times = "/"+w.name+f.Prefix, syscall.ESTALE, 1
		strike(t, server, f)
		if err := w.ask(job.Mount(1-i%2) + "/" + w.name); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		server.ClearFaults()
	}
	for i := range 2 {
		for _, w := range ways {
			if err := w.ask(job.Mount(i) + "/" + w.name); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
		}
	}
}

// TestPFSStall: a PFS that does not answer is waited for, for longer than a peer that says nothing; who
// waits can be interrupted; and nobody is suspected.
func TestPFSStall(t *testing.T) {
	const longer = 5 * time.Second // than the three pings after which a peer has failed
	backing := t.TempDir()
	must(t, os.WriteFile(backing+"/file", text(faultyFile), 0o644))
	must(t, os.WriteFile(backing+"/other", text(faultyFile), 0o644))
	must(t, os.Mkdir(backing+"/dir", 0o755))
	dir, server := uncached(t, backing, 4, slowfs.Options{})
	job := start(t, cluster.Options{Dir: dir, Nodes: 4, Target: cluster.Target(dir), Args: tree})
	begin := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd, out := exec.Command(args[0], args[1:]...), new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = out, out
		must(t, cmd.Start())
		return cmd, out
	}
	strike(t, server, slowfs.Fault{Prefix: "/file", Op: slowfs.OpRead, Stall: true})
	strike(t, server, slowfs.Fault{Prefix: "/dir", Stall: true})
	strike(t, server, slowfs.Fault{Prefix: "/other", Op: slowfs.OpLookup, Stall: true})
	patient := map[*exec.Cmd]*bytes.Buffer{}
	for _, args := range [][]string{{"cmp", backing + "/file", job.Mount(3) + "/file"}, {"ls", job.Mount(3) + "/dir"}, {"cmp", backing + "/other", job.Mount(1) + "/other"}} {
		cmd, out := begin(args...)
		patient[cmd] = out
	}
	impatient, _ := begin("cat", job.Mount(3)+"/file")
	await(t, "the operations to stall", func() bool { return server.Counts().Stalled >= 3 })
	began := time.Now()
	must(t, impatient.Process.Signal(os.Interrupt))
	_ = impatient.Wait()
	t.Logf("an interrupted reader has ended after %v", time.Since(began).Round(time.Millisecond))
	time.Sleep(longer) // how long it lasts is what is tested
	for _, n := range status(t, job).Nodes {
		if n.Failovers > 0 || n.DirectReads > 0 || n.Suspects > 0 {
			t.Errorf("rank %d: %d failovers, %d direct reads, %d suspects because of a slow PFS", n.Rank, n.Failovers, n.DirectReads, n.Suspects)
		}
	}
	if server.Counts().Stalled == 0 {
		t.Error("nobody waited")
	}
	server.ClearFaults()
	for cmd, out := range patient {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v, %s", cmd.Args, err, out)
		}
	}
}

// TestMemoryPressure: with the smallest budget, and many more readers than it has chunks for, every
// byte is right and nobody meets an error.
func TestMemoryPressure(t *testing.T) {
	const nodes, each, files = 3, 17, 3
	books := newLibrary(t)
	job := start(t, cluster.Options{Nodes: nodes, Target: books.dir, Args: append([]string{"-T", "3"}, smallest...)})
	var running sync.WaitGroup
	for node := range nodes {
		for r := range each {
			running.Go(func() {
				for f := range files {
					if _, err := books.read(job.Mount(node), (r*files+f*13+node)%libraryFiles); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	running.Wait()
	for _, n := range status(t, job).Nodes {
		if n.Memory.Peak > n.Memory.Limit {
			t.Errorf("rank %d: %d bytes of %d", n.Rank, n.Memory.Peak, n.Memory.Limit)
		}
		t.Logf("rank %d: peak %d of %d bytes, %d evictions", n.Rank, n.Memory.Peak, n.Memory.Limit, n.Evictions)
	}
}
