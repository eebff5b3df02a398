package fuse

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// asHelper makes this test binary a helper process: files of a mount are used from a process of
// their own, as in life. A process that serves a mount and waits for it can stop itself.
const asHelper = "COPPER_FUSE_TEST_HELPER"

func init() {
	if os.Getenv(asHelper) != "" {
		runtime.LockOSThread() // signals are sent to the first thread
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(asHelper) != "" {
		os.Exit(helper(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// requireFUSE skips where there is no FUSE, unless it must be there.
func requireFUSE(t testing.TB) {
	t.Helper()
	err := CheckDevice()
	if err == nil {
		return
	}
	if os.Getenv("COPPER_REQUIRE_FUSE") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// mount mounts src for the time of the test.
func mount(t testing.TB, o Options) (*Mount, string) {
	t.Helper()
	requireFUSE(t)
	dir := t.TempDir()
	o.Mountpoint = dir
	o.withhold |= withheld
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Error(err)
			return
		}
		m.Wait()
		if mounts, err := readMounts(); err != nil || mounts.has(dir, m.connection) {
			t.Errorf("still mounted (%v)", err)
		}
	})
	return m, dir
}

func newTree(t testing.TB) *storetest.Tree {
	return storetest.NewTree(storetest.Memory(t, 64<<20))
}

// realSource is a store in front of the directory dir.
func realSource(t testing.TB, dir string, negative time.Duration) (*store.Store, *store.Origin) {
	t.Helper()
	mem := storetest.Memory(t, 64<<20)
	origin, err := store.NewOrigin(dir, mem, store.OriginOptions{NegativeLifetime: negative})
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewStore(origin, mem)
	t.Cleanup(func() {
		s.Forget("/")
		if err := origin.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, origin
}

// helperCommand is a helper process that is not started yet.
func helperCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asHelper+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// run runs a command to its end and returns what it printed.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

func runHelper(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, helperCommand(args...))
}

func shell(t testing.TB, script string, args ...string) string {
	t.Helper()
	return run(t, exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...))
}

// newRequests is what the kernel asked during f, without what is not a request.
func newRequests(m *Mount, f func()) map[string]uint64 {
	before := m.Stats().Requests
	f()
	after := m.Stats().Requests
	for op, n := range after {
		if after[op] = n - before[op]; after[op] == 0 || op == "FORGET" || op == "INTERRUPT" {
			delete(after, op)
		}
	}
	return after
}

// warmRequests is what the kernel asks when f runs again. The kernel may drop any page at any time
// (some machines take memory back steadily, by DAMON), so of several runs the one that asked least
// counts: it shows what the kernel can do without asking.
func warmRequests(m *Mount, f func()) map[string]uint64 {
	f()
	least := newRequests(m, f)
	for range 9 {
		if total(least) == 0 {
			break
		}
		if got := newRequests(m, f); total(got) < total(least) {
			least = got
		}
	}
	return least
}

func total(requests map[string]uint64) (sum uint64) {
	for op, n := range requests {
		if op != "IOCTL" {
			sum += n
		}
	}
	return sum
}

// eventually waits for something that is certain to happen.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for start := time.Now(); !happened(); time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("never: %s", what)
		}
	}
}

func flush(t testing.TB, m *Mount) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func errnoName(err error) string {
	if err == nil {
		return "ok"
	}
	for name, errno := range map[string]syscall.Errno{
		"EROFS": syscall.EROFS, "ENOENT": syscall.ENOENT, "EIO": syscall.EIO, "EACCES": syscall.EACCES,
		"ESTALE": syscall.ESTALE, "ENOTDIR": syscall.ENOTDIR, "EINTR": syscall.EINTR, "ETIMEDOUT": syscall.ETIMEDOUT,
		"ENOTTY": syscall.ENOTTY, "EOPNOTSUPP": syscall.EOPNOTSUPP, "ENAMETOOLONG": syscall.ENAMETOOLONG,
		"ENOTCONN": syscall.ENOTCONN, "ECONNABORTED": syscall.ECONNABORTED,
	} {
		if store.Errno(err) == errno {
			return name
		}
	}
	return fmt.Sprint(err)
}
