package slowfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func setFault(t *testing.T, s *Server, f Fault) {
	t.Helper()
	if err := s.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

func fillTwo(t *testing.T) func(string) {
	return func(backing string) {
		for _, dir := range []string{"/a", "/ab"} {
			mkdir(t, backing+dir)
			write(t, backing+dir+"/file", "hello")
		}
	}
}

func TestErrnoFaultStrikesPrefixOperationAndMount(t *testing.T) {
	s := start(t, 2, Options{}, fillTwo(t))
	setFault(t, s, Fault{Prefix: "/a", Op: OpOpen, Mount: s.options.Mounts[0], Errno: syscall.EIO})

	if _, err := os.ReadFile(s.on(0, "a/file")); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	stat(t, s.on(0, "a/file")) // another operation
	read(t, s.on(0, "ab/file"))
	read(t, s.on(1, "a/file"))
	if got := s.Counts().Operations[OpOpen]; got != (Classes{File: 2, Failed: 1}) {
		t.Errorf("opens: %+v", got)
	}

	s.ClearFaults()
	read(t, s.on(0, "a/file"))
}

// TestFaultFrom: a fault strikes in the middle of a file or of a directory, and lets what comes before
// pass.
func TestFaultFrom(t *testing.T) {
	const n = 5000
	s := start(t, 1, Options{CacheLifetime: -1}, func(backing string) {
		write(t, backing+"/file", string(make([]byte, 3<<20)))
		mkdir(t, backing+"/dir")
		for i := range n {
			write(t, fmt.Sprintf("%s/dir/%s%d", backing, strings.Repeat("x", 100), i), "")
		}
	})
	setFault(t, s, Fault{Op: OpRead, From: 2 << 20, Errno: syscall.EIO})
	setFault(t, s, Fault{Op: OpReadDir, From: n - 10, Errno: syscall.ESTALE})
	f, err := os.Open(s.on(0, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.ReadAt(make([]byte, 4096), 0); n != 4096 || err != nil {
		t.Errorf("before the fault: %d bytes, %v", n, err)
	}
	if _, err := f.ReadAt(make([]byte, 4096), 2<<20); !errors.Is(err, syscall.EIO) {
		t.Errorf("at the fault: %v", err)
	}
	if list, err := os.ReadDir(s.on(0, "dir")); !errors.Is(err, syscall.ESTALE) || len(list) == 0 || len(list) >= n {
		t.Errorf("a directory: %d names, %v", len(list), err)
	}
	stat(t, s.on(0, "dir"))
}

// TestTick: times are shown in whole ticks.
func TestTick(t *testing.T) {
	s := start(t, 1, Options{Tick: time.Second, CacheLifetime: -1}, fillTwo(t))
	when := time.Unix(1_700_000_000, 123_456_789)
	if err := os.Chtimes(s.backing("/a/file"), when, when); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.on(0, "a/file"))
	if err != nil || !info.ModTime().Equal(when.Truncate(time.Second)) {
		t.Errorf("%v (%v), want %v in whole seconds", info.ModTime(), err, when)
	}
}

func TestReadFaultReachesTheReader(t *testing.T) {
	s := start(t, 1, Options{}, fillTwo(t))
	setFault(t, s, Fault{Op: OpRead, Errno: syscall.EIO})
	if content, err := os.ReadFile(s.on(0, "a/file")); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %q, %v; want EIO", content, err)
	}
	if n := s.Counts().Bytes; n != 0 {
		t.Errorf("%d bytes counted of failed reads", n)
	}
	s.ClearFaults()
	if got := read(t, s.on(0, "a/file")); got != "hello" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestFaultStrikesSoManyTimes(t *testing.T) {
	s := start(t, 1, Options{}, fillTwo(t))
	setFault(t, s, Fault{Op: OpOpen, Errno: syscall.EACCES, Times: 2})
	for i := range 3 {
		_, err := os.ReadFile(s.on(0, "a/file"))
		if failed := errors.Is(err, syscall.EACCES); failed != (i < 2) {
			t.Errorf("open %d: %v", i, err)
		}
	}
}

func TestFaultsAddUp(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1000, 0)}
	s := start(t, 1, Options{clock: clock}, fillTwo(t))
	stat(t, s.on(0, "a/file"))
	setFault(t, s, Fault{Op: OpOpen, Delay: 3 * time.Second})
	setFault(t, s, Fault{Prefix: "/a/file", Delay: 4 * time.Second, Errno: syscall.ESTALE, Times: 1})
	begin := clock.Now()
	// The kernel answers ESTALE by looking the name up again and opening once more.
	read(t, s.on(0, "a/file"))
	if got := clock.Now().Sub(begin); got != 10*time.Second {
		t.Errorf("two delayed opens took %v, want 3 s + 4 s and 3 s", got)
	}
	if got := s.Counts().Operations[OpOpen]; got != (Classes{File: 1, Failed: 1}) {
		t.Errorf("opens: %+v", got)
	}
}

func TestStallUntilCleared(t *testing.T) {
	s := start(t, 1, Options{}, fillTwo(t))
	setFault(t, s, Fault{Prefix: "/a", Op: OpRead, Stall: true})
	type result struct {
		content []byte
		err     error
	}
	results := make(chan result, 1)
	go func() {
		content, err := os.ReadFile(s.on(0, "a/file"))
		results <- result{content, err}
	}()
	await(t, "stall", func() bool { return s.Counts().Stalled > 0 })
	read(t, s.on(0, "ab/file")) // the others are not held up
	select {
	case r := <-results:
		t.Fatalf("a stalled read returned: %q, %v", r.content, r.err)
	default:
	}
	s.ClearFaults()
	if r := <-results; r.err != nil || string(r.content) != "hello" {
		t.Errorf("got %q, %v", r.content, r.err)
	}
	if n := s.Counts().Stalled; n != 0 {
		t.Errorf("%d still stalled", n)
	}
}

func TestStallEndsWithTheCallersSignal(t *testing.T) {
	s := start(t, 1, Options{}, fillTwo(t))
	setFault(t, s, Fault{Op: OpOpen, Stall: true})
	reader := exec.Command("cat", s.on(0, "a/file"))
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "stall", func() bool { return s.Counts().Stalled == 1 })
	if err := reader.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := reader.Wait(); err == nil {
		t.Error("the reader succeeded")
	}
	await(t, "end of the stall", func() bool { return s.Counts().Stalled == 0 })
}

func TestSetFaultRefusesNonsense(t *testing.T) {
	s := start(t, 1, Options{}, nil)
	for name, f := range map[string]Fault{
		"no effect":      {Prefix: "/a"},
		"operation":      {Op: "write", Errno: syscall.EIO},
		"relative":       {Prefix: "a", Errno: syscall.EIO},
		"unclean":        {Prefix: "/a/", Errno: syscall.EIO},
		"mount":          {Mount: "/nowhere", Errno: syscall.EIO},
		"negative delay": {Delay: -1},
		"negative times": {Errno: syscall.EIO, Times: -1},
	} {
		if err := s.SetFault(f); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFaultJSON(t *testing.T) {
	want := Fault{Prefix: "/lib", Op: OpRead, Mount: "/n1", Errno: syscall.ESTALE, Stall: true, Delay: 1500 * time.Millisecond, Times: 2}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	const form = `{"prefix":"/lib","op":"read","mount":"/n1","errno":"ESTALE","stall":true,"delay":"1.5s","times":2}`
	if string(text) != form {
		t.Errorf("got %s, want %s", text, form)
	}
	var got Fault
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{`{"errno":"EFOO"}`, `{"delay":"soon"}`, `{"path":"/lib"}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}
