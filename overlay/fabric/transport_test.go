package fabric

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) {
	if endpoint := os.Getenv("COPPER_TEST_ECHO"); endpoint != "" {
		echo(endpoint)
	}
	goleak.VerifyTestMain(m)
}

// needLibrary skips a test where there is no libfabric, unless COPPER_REQUIRE_LIBFABRIC is set.
func needLibrary(t testing.TB) {
	t.Helper()
	if _, err := Library(); (errors.Is(err, ErrNotBuilt) || errors.Is(err, ErrAbsent)) && os.Getenv("COPPER_REQUIRE_LIBFABRIC") == "" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// transport makes a transport that is closed when the test ends.
func transport(t testing.TB) *Transport {
	t.Helper()
	needLibrary(t)
	tr := New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// loopbacks are endpoints for each of the providers that tests use.
var loopbacks = []string{"ofi+tcp://127.0.0.1", "ofi+net://127.0.0.1"}

// overEach runs a test over each of them.
func overEach(t *testing.T, test func(t *testing.T, endpoint string)) {
	for _, endpoint := range loopbacks {
		t.Run(Addr(endpoint).Network(), func(t *testing.T) { test(t, endpoint) })
	}
}

func listen(t testing.TB, tr *Transport, endpoint string) net.Listener {
	t.Helper()
	ln, err := tr.Listen(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// connect dials a listener from a transport.
func connect(t testing.TB, from *Transport, ln net.Listener) (near, far net.Conn) {
	t.Helper()
	near, err := from.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// connected makes a connection between two transports.
func connected(t testing.TB, endpoint string) (near, far net.Conn) {
	t.Helper()
	return connect(t, transport(t), listen(t, transport(t), endpoint))
}

func TestConn(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		needLibrary(t)
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			log := slog.New(slog.NewTextHandler(t.Output(), nil))
			a, b := New(log), New(log)
			ln, err := a.Listen(endpoint)
			if err != nil {
				return nil, nil, nil, err
			}
			if c1, err = b.Dial(t.Context(), ln.Addr().String()); err != nil {
				return nil, nil, nil, err
			}
			if c2, err = ln.Accept(); err != nil {
				return nil, nil, nil, err
			}
			return c1, c2, func() { _, _ = a.Close(), b.Close() }, nil
		})
	})
}

func TestListen(t *testing.T) {
	tr := transport(t)
	for _, endpoint := range []string{"ofi+net://127.0.0.1", "ofi+tcp://lo", "ofi+net://lo:0"} {
		ln := listen(t, tr, endpoint)
		at := ln.Addr().String()
		if !strings.HasPrefix(at, ln.Addr().Network()+"://127.0.0.1:") || strings.HasSuffix(at, ":0") || ln.Addr().Network() != endpoint[:7] {
			t.Errorf("%s becomes %s", endpoint, at)
		}
		for _, other := range []*Transport{tr, transport(t)} {
			if _, err := other.Listen(at); err == nil || !strings.Contains(err.Error(), at) {
				t.Errorf("a place that is taken: %v", err)
			}
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after Close: %v", err)
		}
		again := listen(t, tr, at) // at once
		if again.Addr().String() != at {
			t.Errorf("%s becomes %s", at, again.Addr())
		}
		_ = again.Close()
	}
	if _, err := Devices("cxi"); err == nil {
		t.Skip("this host has CXI devices")
	}
	for _, endpoint := range []string{"ofi+cxi://cxi0", "ofi+cxi://0x00916600"} {
		if _, err := tr.Listen(endpoint); !errors.Is(err, syscall.ENODATA) || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("without devices: %v", err)
		}
	}
}

func TestDevices(t *testing.T) {
	needLibrary(t)
	devices, err := Devices("net")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Domain == "lo" && d.Address == "ofi+net://127.0.0.1:0" && d.Provider == "net" {
			return
		}
	}
	t.Errorf("no loopback among %+v", devices)
}

// TestDialNobody: the error comes when the caller's time is over, at the latest.
func TestDialNobody(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		ln := listen(t, transport(t), endpoint)
		at := ln.Addr().String()
		tr := transport(t)
		near, _ := connect(t, tr, ln)
		_ = ln.Close() // the endpoint is there still
		if _, err := tr.Dial(t.Context(), at); !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), at) {
			t.Errorf("where nobody listens: %v", err)
		}
		_ = near.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		nobody := strings.TrimSuffix(endpoint, "://127.0.0.1") + "://127.0.0.1:9"
		if _, err := tr.Dial(ctx, nobody); err == nil || !strings.Contains(err.Error(), nobody) {
			t.Errorf("where nobody is: %v", err)
		}
	})
}

// send sends so many random bytes over a connection in pieces, and returns their sum.
func send(conn net.Conn, seed uint64, bytes int) ([]byte, error) {
	random := rand.NewChaCha8([32]byte{byte(seed)})
	sum := sha256.New()
	piece := make([]byte, 1<<20)
	for bytes > 0 {
		p := piece[:min(bytes, 1+int(random.Uint64()%uint64(len(piece))))]
		_, _ = random.Read(p)
		sum.Write(p)
		if _, err := conn.Write(p); err != nil {
			return nil, err
		}
		bytes -= len(p)
	}
	return sum.Sum(nil), conn.Close()
}

// TestLargeTransfers: what is written comes as it is, both ways, up to the end.
func TestLargeTransfers(t *testing.T) {
	const size = 24<<20 + 1
	overEach(t, func(t *testing.T, endpoint string) {
		tr := transport(t)
		ln := listen(t, transport(t), endpoint)
		var wg sync.WaitGroup
		for i := range 2 {
			from, to := connect(t, tr, ln)
			if i == 1 {
				from, to = to, from
			}
			sent := make(chan []byte, 1)
			wg.Go(func() {
				sum, err := send(from, uint64(i), size)
				if err != nil {
					t.Error(err)
				}
				sent <- sum
			})
			wg.Go(func() {
				sum := sha256.New()
				if n, err := io.Copy(sum, to); n != size || err != nil {
					t.Errorf("%d bytes came, %v", n, err)
				}
				if want := <-sent; !bytes.Equal(sum.Sum(nil), want) {
					t.Error("other bytes came")
				}
			})
		}
		wg.Wait()
	})
}

// TestManyConnections: all of them at once, each with its own bytes, in both directions.
func TestManyConnections(t *testing.T) {
	const n = 200
	tr := transport(t)
	ln := listen(t, transport(t), "ofi+net://127.0.0.1")
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			conn, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() {
				_, _ = io.CopyN(conn, conn, 30000)
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			})
		}
	})
	for i := range n {
		wg.Go(func() {
			conn, err := tr.Dial(t.Context(), ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			want := bytes.Repeat([]byte(fmt.Sprintf("%05d", i)), 6000)
			go func() { _, _ = conn.Write(want) }()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// TestUnreadConnection: those that nobody reads take their windows and nothing more, and don't stop others.
func TestUnreadConnection(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		tr := transport(t)
		ln := listen(t, transport(t), endpoint)
		for range 20 {
			near, far := connect(t, tr, ln)
			if _, err := near.Write(make([]byte, minWindow)); err != nil {
				t.Fatal(err)
			}
			_ = near.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			if n, err := near.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) || n != 0 {
				t.Errorf("%d bytes more than the window were taken, %v", n, err)
			}
			c := far.(*conn)
			c.mu.Lock()
			for c.in.length < minWindow {
				c.readable.cond.Wait()
			}
			c.mu.Unlock()
		}
		near, far := connect(t, tr, ln)
		go func() { _, _ = io.Copy(far, far) }()
		got := make([]byte, 1<<20)
		for range 10 {
			go func() { _, _ = near.Write(got[:1<<20]) }()
			if _, err := io.ReadFull(near, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestWindowGrows where what comes is read, and the endpoint has an account of it until the end.
func TestWindowGrows(t *testing.T) {
	ln := listen(t, transport(t), "ofi+net://127.0.0.1")
	near, far := connect(t, transport(t), ln)
	go func() { _, _ = near.Write(make([]byte, 16<<20)) }()
	if _, err := io.ReadFull(far, make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	e := far.(*conn).ep
	e.mu.Lock()
	extra := e.windows
	e.mu.Unlock()
	if extra != maxWindow-minWindow {
		t.Errorf("the windows are %d bytes more than in the beginning", extra)
	}
	_ = far.Close()
	if _, err := near.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // it comes unwrapped
		t.Errorf("after the end: %v", err)
	}
	_, _ = near.Close(), ln.Close()
	<-e.done
	if e.windows != 0 {
		t.Errorf("%d bytes are left in the account", e.windows)
	}
}

// TestCloseEndsAll: whoever waits gets an error, and nothing of the endpoint is left.
func TestCloseEndsAll(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		tr := transport(t)
		ln := listen(t, tr, endpoint)
		other := transport(t)
		near, far := connect(t, other, ln)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("accept: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := far.Write(make([]byte, 1<<20)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("write: %v", err)
			}
		})
		if _, err := io.ReadFull(near, make([]byte, minWindow/4)); err != nil {
			t.Error(err)
		}
		_, _ = tr.Close(), tr.Close()
		wg.Wait()
		if _, err := io.Copy(io.Discard, near); err != nil {
			t.Errorf("the other end: %v", err)
		}
		if _, err := near.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing to an end that is closed: %v", err)
		}
		if _, err := tr.Dial(t.Context(), "ofi+net://127.0.0.1:9"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dialling: %v", err)
		}
		if _, err := tr.Listen(endpoint); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listening: %v", err)
		}
	})
}

// TestCloseDelivers: what was written before Close is read to its end, though the writer is gone.
func TestCloseDelivers(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		from := transport(t)
		near, far := connect(t, from, listen(t, transport(t), endpoint))
		if _, err := near.Write(make([]byte, minWindow)); err != nil {
			t.Fatal(err)
		}
		_, _ = near.Close(), from.Close()
		if n, err := io.Copy(io.Discard, far); n != minWindow || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestPeerIsLost: when the provider says that a peer can't be reached, all connections to it end with its reason, at
// once, and those to others go on.
func TestPeerIsLost(t *testing.T) {
	tr := transport(t)
	lost, lostFar := connect(t, tr, listen(t, transport(t), "ofi+net://127.0.0.1"))
	other, otherFar := connect(t, tr, listen(t, transport(t), "ofi+net://127.0.0.1"))
	go func() { _, _ = io.Copy(otherFar, otherFar) }()
	reading := make(chan error)
	go func() {
		_, err := lost.Read(make([]byte, 1))
		reading <- err
	}()
	c := lost.(*conn)
	if c.ep != other.(*conn).ep {
		t.Fatal("they are of two endpoints")
	}
	c.ep.lose(c.peer, syscall.EHOSTUNREACH)
	if err := <-reading; !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("read: %v", err)
	}
	if _, err := lost.Write([]byte{1}); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("write: %v", err)
	}
	if err := ask(other); err != nil {
		t.Error(err)
	}
	_, _ = lostFar.Write([]byte{1}) // which it answers by a reset
	if _, err := lostFar.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("at the other end: %v", err)
	}
}
