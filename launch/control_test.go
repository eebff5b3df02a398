package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/copper-hpc/copper/profiling"
)

// fakeDaemon notes what control makes of it.
type fakeDaemon struct {
	*Daemon
	mu     sync.Mutex
	done   []string
	exited chan struct{}
	// unclear is what Clear says.
	unclear error
	once    sync.Once
}

func (f *fakeDaemon) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, what)
}

func newFakeDaemon(rank int) *fakeDaemon {
	f := &fakeDaemon{exited: make(chan struct{})}
	f.Daemon = &Daemon{
		Hello: Hello{Job: "7", Rank: rank, Size: 2, PID: os.Getpid(), Mount: "/mnt"},
		Status: func() NodeStatus {
			return NodeStatus{Rank: rank, Host: "n1", Counters: Counters{Requests: map[string]int64{"READ": 5}}}
		},
		Counted: func() profiling.Sum { return profiling.Sum{} },
		Hold:    func(prefix string) int { f.note("hold " + prefix); return 3 },
		Clear:   func(prefix string) (int, error) { f.note("clear " + prefix); return 3, f.unclear },
		Unmount: func() error { f.note("unmount"); return nil },
		Exit:    func() { f.once.Do(func() { close(f.exited) }) },
	}
	return f
}

// together is an overlay of daemons: Gather asks all of them.
func together(daemons ...*fakeDaemon) Gather {
	return func(ctx context.Context, req []byte) ([]byte, []MissingRank, error) {
		all := NewSum(req)
		var missing []MissingRank
		for _, d := range daemons {
			answer, err := d.Answer(ctx, req)
			if err == nil {
				err = all.Add(answer)
			}
			if err != nil {
				missing = append(missing, MissingRank{d.Hello.Rank, err.Error()})
			}
		}
		sum, err := all.Bytes()
		return sum, missing, err
	}
}

// controlDir is a control directory of job 7 and the bases that it is found under.
func controlDir(t *testing.T) (dir string, bases []string) {
	t.Helper()
	base := filepath.Join(shortDir(t), "c")
	if err := inControlDir(base, "7", func(d string) error { dir = d; return nil }); err != nil {
		t.Fatal(err)
	}
	return dir, []string{base}
}

func serveControl(t *testing.T, dir string, d *fakeDaemon, gather Gather) *Control {
	t.Helper()
	c, err := ServeControl(dir, d.Daemon, gather, discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var twoRanks = &Job{State: State{ID: "7", Phase: Ready, Ranks: []Rank{{0, "n1", 1, "/m0"}, {1, "n1", 2, "/m1"}}}}

func TestControl(t *testing.T) {
	dir, bases := controlDir(t)
	d0, d1 := newFakeDaemon(0), newFakeDaemon(1)
	serveControl(t, dir, d0, together(d0, d1))
	serveControl(t, dir, d1, together(d0, d1))
	ctx := context10s(t)

	hello, err := Ask(ctx, bases, "7", NewRequest(OpHello))
	if err != nil || hello.Hello == nil || hello.Hello.Job != "7" || hello.Hello.Size != 2 {
		t.Fatalf("hello: %+v, %v", hello, err)
	}
	status, err := Ask(ctx, bases, "7", NewRequest(OpStatus))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Collect(twoRanks, status); err != nil || len(s.Nodes) != 0 || s.Totals.Nodes != 2 || s.Totals.Requests != 10 || len(s.Missing) != 0 {
		t.Errorf("status: %+v, %v", s, err)
	}
	r := NewRequest(OpStatus)
	r.Rows = true
	if status, err = Ask(ctx, bases, "7", r); err != nil {
		t.Fatal(err)
	}
	if s, err := Collect(twoRanks, status); err != nil || len(s.Nodes) != 2 || s.Nodes[1].Rank != 1 || s.Totals.Requests != 10 {
		t.Errorf("status with rows: %+v, %v", s, err)
	}
	for prefix, want := range map[string]string{"": "clear /", "/a/../b/": "clear /b"} {
		d1.done = nil
		r := NewRequest(OpClear)
		r.Prefix = prefix
		resp, err := Ask(ctx, bases, "7", r)
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := resp.cleared(); entries != 6 || err != nil {
			t.Errorf("clear %q: %d, %v", prefix, entries, err)
		}
		if len(d1.done) != 1 || d1.done[0] != want {
			t.Errorf("clear %q: %q, want %q", prefix, d1.done, want)
		}
	}
}

func TestControlStop(t *testing.T) {
	dir, bases := controlDir(t)
	d0, d1 := newFakeDaemon(0), newFakeDaemon(1)
	serveControl(t, dir, d0, together(d0, d1))
	ctx := context10s(t)
	resp, err := Ask(ctx, bases, "7", NewRequest(OpStop))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Collect(twoRanks, resp); err != nil || s.Totals.Requests != 10 {
		t.Errorf("the last counters: %+v, %v", s.Totals, err)
	}
	for _, d := range []*fakeDaemon{d0, d1} {
		select {
		case <-d.exited:
		case <-ctx.Done():
			t.Fatalf("rank %d was not let go", d.Hello.Rank)
		}
		if !d.Stopping() || len(d.done) != 1 || d.done[0] != "unmount" {
			t.Errorf("rank %d: stopping %v, did %q", d.Hello.Rank, d.Stopping(), d.done)
		}
	}
}

// TestControlWithoutOverlay: where the overlay fails, the node that is asked answers for itself.
func TestControlWithoutOverlay(t *testing.T) {
	dir, bases := controlDir(t)
	d0 := newFakeDaemon(0)
	serveControl(t, dir, d0, func(context.Context, []byte) ([]byte, []MissingRank, error) { return nil, nil, errors.New("cut off") })
	resp, err := Ask(context10s(t), bases, "7", NewRequest(OpStatus))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Collect(twoRanks, resp)
	if err != nil || s.Totals.Nodes != 1 || len(s.Missing) != 1 || s.Missing[0].Rank != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := resp.cleared(); err == nil {
		t.Error("a clear that did not reach every rank has succeeded")
	}
}

func TestControlRefusesBadInput(t *testing.T) {
	dir, _ := controlDir(t)
	d0 := newFakeDaemon(0)
	serveControl(t, dir, d0, together(d0))
	for what, req := range map[string]string{
		"nothing":         "",
		"not JSON":        "stop",
		"other version":   `{"version":1,"op":"stop"}`,
		"unknown request": `{"version":2,"op":"format"}`,
		"second half":     `{"version":2,"op":"exit"}`,
		"unknown field":   `{"version":2,"op":"stop","force":true}`,
		"two requests":    `{"version":2,"op":"stop"}{"version":2,"op":"stop"}`,
		"relative prefix": `{"version":2,"op":"clear","prefix":"a"}`,
		"useless rows":    `{"version":2,"op":"stop","rows":true}`,
		"useless prefix":  `{"version":2,"op":"stop","prefix":"/a"}`,
		"too long":        `{"version":2,"op":"clear","prefix":"/` + strings.Repeat("a", maxRequest) + `"}`,
	} {
		resp := send(t, filepath.Join(dir, "0.sock"), req)
		if resp.Error == "" || resp.Sum != nil {
			t.Errorf("%s: %+v, want an error", what, resp)
		}
	}
	if d0.Stopping() || len(d0.done) > 0 {
		t.Errorf("bad requests made it %q", d0.done)
	}
}

// send sends raw bytes and decodes the answer.
func send(t *testing.T, socket, req string) Response {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() { // the server may stop reading before the end
		_, _ = io.Copy(conn, strings.NewReader(req))
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	content, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // of what it has not read
		t.Fatal(err)
	}
	var resp Response
	if err := json.Unmarshal(content, &resp); err != nil {
		t.Fatalf("%q: %v", content, err)
	}
	return resp
}

// TestControlCloseEndsClients: a client that says nothing does not keep the daemon from ending.
func TestControlCloseEndsClients(t *testing.T) {
	dir, _ := controlDir(t)
	d0 := newFakeDaemon(0)
	c := serveControl(t, dir, d0, together(d0))
	conn, err := net.Dial("unix", filepath.Join(dir, "0.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if rest, _ := io.ReadAll(conn); bytes.Contains(rest, []byte("sum")) {
		t.Errorf("answered %q", rest)
	}
}

func TestControlNeedsAPrivateDirectory(t *testing.T) {
	open := shortDir(t)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(shortDir(t), "link")
	if err := os.Symlink(shortDir(t), link); err != nil {
		t.Fatal(err)
	}
	dirs := []string{open, link, "/proc/self/status", "/proc/nonexistent"}
	if os.Getuid() == 0 {
		foreign := shortDir(t)
		if err := os.Chown(foreign, 1, 1); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, foreign)
	}
	for _, dir := range dirs {
		if c, err := ServeControl(dir, newFakeDaemon(0).Daemon, nil, discard); err == nil {
			t.Errorf("%s: served", dir)
			_ = c.Close()
		}
		if err := inControlDir(dir, "7", func(string) error { return nil }); err == nil {
			t.Errorf("%s: used as a base", dir)
		}
		if _, err := Ask(t.Context(), []string{filepath.Dir(dir)}, filepath.Base(dir), NewRequest(OpHello)); !errors.Is(err, errNoDaemon) {
			t.Errorf("%s: asked there: %v", dir, err)
		}
	}
	long := filepath.Join(shortDir(t), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ServeControl(long, newFakeDaemon(0).Daemon, nil, discard); ExitCode(err) != ExitBadInput {
		t.Errorf("a path too long for a socket: %v", err)
	}
}

// TestAskPassesOverTheDead: the socket of a killed daemon does not hide a live one.
func TestAskPassesOverTheDead(t *testing.T) {
	dir, bases := controlDir(t)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "0.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context10s(t)
	if _, err := Ask(ctx, bases, "7", NewRequest(OpHello)); !errors.Is(err, errNoDaemon) {
		t.Errorf("with only a dead daemon: %v", err)
	}
	d1 := newFakeDaemon(1)
	serveControl(t, dir, d1, together(d1))
	if resp, err := Ask(ctx, bases, "7", NewRequest(OpHello)); err != nil || resp.Hello.Rank != 1 {
		t.Errorf("%+v, %v", resp, err)
	}
	d0 := newFakeDaemon(0) // started again in the place of the dead one
	serveControl(t, dir, d0, together(d0))
	if resp, err := Ask(ctx, bases, "7", NewRequest(OpHello)); err != nil || resp.Hello.Rank != 0 {
		t.Errorf("%+v, %v", resp, err)
	}
}
