package overlay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// wired makes two hosts and a connection from a to b, within a bubble.
func wired(t *testing.T, w Wire) (a, b *VirtualHost, atA, atB net.Conn) {
	t.Helper()
	v := NewVirtualNetwork(w)
	a, b = v.Host(), v.Host()
	ln, err := b.Listen("mem://b")
	if err != nil {
		t.Fatal(err)
	}
	if atA, err = a.Dial(t.Context(), "mem://b"); err != nil {
		t.Fatal(err)
	}
	if atB, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	t.Cleanup(func() {
		_ = atA.Close()
		_ = atB.Close()
	})
	return a, b, atA, atB
}

// arrive reads n bytes and returns the time since begin.
func arrive(t *testing.T, conn net.Conn, n int, begin time.Time) time.Duration {
	t.Helper()
	if _, err := io.ReadFull(conn, make([]byte, n)); err != nil {
		t.Error(err)
	}
	return time.Since(begin)
}

func write(t *testing.T, conn net.Conn, n int) {
	t.Helper()
	if _, err := conn.Write(make([]byte, n)); err != nil {
		t.Error(err)
	}
}

func want(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got != want {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

func TestVirtualDialTakesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		wired(t, Wire{Latency: 3 * time.Millisecond})
		want(t, "a connection", time.Since(begin), 6*time.Millisecond)
	})
}

func TestVirtualLatencyAndHandling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, a, b := wired(t, Wire{Latency: time.Millisecond, Handling: 10 * time.Microsecond})
		begin := time.Now()
		write(t, a, 1)
		write(t, a, 1)
		want(t, "the first message", arrive(t, b, 1, begin), 1010*time.Microsecond)
		want(t, "the second message", arrive(t, b, 1, begin), 1020*time.Microsecond)
		write(t, b, 1)
		want(t, "an answer", arrive(t, a, 1, begin), 2030*time.Microsecond)
	})
}

func TestVirtualBandwidth(t *testing.T) {
	const chunk = 1 << 20
	w := Wire{Latency: time.Millisecond, Bandwidth: chunk * 100} // 10 ms a chunk
	synctest.Test(t, func(t *testing.T) {
		v := NewVirtualNetwork(w)
		var hosts [3]*VirtualHost
		var lns [3]net.Listener
		for i := range hosts {
			hosts[i] = v.Host()
			lns[i], _ = hosts[i].Listen("mem://")
		}
		connect := func(from, to int) (near, far net.Conn) {
			near, err := hosts[from].Dial(t.Context(), lns[to].Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			far, _ = lns[to].Accept()
			t.Cleanup(func() { near.Close(); far.Close() })
			return near, far
		}
		a01, b01 := connect(0, 1)
		a02, b02 := connect(0, 2)
		a12, b12 := connect(1, 2)

		begin := time.Now()
		write(t, a01, chunk)
		write(t, a02, chunk) // after the first, on the way out of 0
		want(t, "a chunk", arrive(t, b01, chunk, begin), 11*time.Millisecond)
		want(t, "the sender's second chunk", arrive(t, b02, chunk, begin), 21*time.Millisecond)

		begin = time.Now()
		write(t, a02, chunk)
		write(t, a12, chunk)                                                                         // after the first, on the way into 2
		write(t, b01, chunk)                                                                         // the other direction of 1 and 0: not held up
		want(t, "a chunk in the other direction", arrive(t, a01, chunk, begin), 21*time.Millisecond) // out of 1 after a12's
		want(t, "the receiver's second chunk", arrive(t, b12, chunk, begin), 21*time.Millisecond)
		want(t, "the receiver's first chunk", arrive(t, b02, chunk, begin), 21*time.Millisecond) // long there

		begin = time.Now()
		write(t, a01, chunk)
		write(t, a02, 10) // a small message is not held up
		if after := arrive(t, b02, 10, begin); after >= 2*time.Millisecond {
			t.Errorf("a small message after %v behind a large one", after)
		}
		arrive(t, b01, chunk, begin)
		if sent, received := hosts[0].Sent(), hosts[2].Received(); sent != 4*chunk+10 || received != 3*chunk+10 {
			t.Errorf("host 0 sent %d bytes and host 2 received %d", sent, received)
		}
		for _, ln := range lns {
			_ = ln.Close()
		}
	})
}

func TestVirtualDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostA, _, a, b := wired(t, Wire{Latency: time.Millisecond})
		hostA.Delay(time.Second)
		begin := time.Now()
		write(t, a, 5)
		want(t, "a delayed message", arrive(t, b, 5, begin), 1001*time.Millisecond)
	})
}

func TestVirtualCutAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hostB, a, b := wired(t, Wire{Latency: time.Millisecond})
		hostB.Cut()
		begin := time.Now()
		write(t, a, 5)
		_ = a.Close() // that isn't heard either
		_ = b.SetReadDeadline(begin.Add(time.Second))
		if _, err := b.Read(make([]byte, 5)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading at a host that is cut off: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := hostB.Dial(ctx, "mem://b"); err == nil {
			t.Error("a host that is cut off has connected")
		}
		_ = b.SetReadDeadline(time.Time{})
		time.Sleep(time.Until(begin.Add(time.Minute)))
		hostB.Heal()
		want(t, "what was held", arrive(t, b, 5, begin), time.Minute+time.Millisecond)
		if _, err := b.Read(make([]byte, 5)); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestVirtualKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostA, hostB, a, _ := wired(t, Wire{Latency: time.Millisecond})
		ln, err := hostB.Listen("mem://c")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		hostB.Kill()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("reading from a dead host: %v", err)
		}
		if _, err := a.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing to a dead host: %v", err)
		}
		if _, err := hostA.Dial(t.Context(), "mem://c"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connecting to a dead host: %v", err)
		}
	})
}

// TestVirtualStop: the kernel of a host whose process is stopped takes connections.
func TestVirtualStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostA, hostB, a, b := wired(t, Wire{Latency: time.Millisecond})
		ln, err := hostB.Listen("mem://c")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		hostB.Stop()
		begin := time.Now()
		write(t, a, 5)
		c, err := hostA.Dial(t.Context(), "mem://c")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = b.SetReadDeadline(begin.Add(time.Second))
		if _, err := b.Read(make([]byte, 5)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading at a host that is stopped: %v", err)
		}
		_ = b.SetReadDeadline(time.Time{})
		hostB.Heal()
		want(t, "what was held", arrive(t, b, 5, begin), 1001*time.Millisecond)
	})
}

// TestVirtualPart: two hosts don't reach each other, and both reach a third.
func TestVirtualPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostA, hostB, a, b := wired(t, Wire{Latency: time.Millisecond})
		third := a.(*virtualConn).host.network.Host()
		ln, err := third.Listen("mem://third")
		if err != nil {
			t.Fatal(err)
		}
		lnB, err := hostB.Listen("mem://c")
		if err != nil {
			t.Fatal(err)
		}
		hostA.Part(hostB)
		begin := time.Now()
		write(t, a, 5)
		for _, h := range []*VirtualHost{hostA, hostB} {
			c, err := h.Dial(t.Context(), "mem://third")
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := hostA.Dial(ctx, "mem://c"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("connecting to a host that is parted: %v", err)
		}
		time.Sleep(time.Until(begin.Add(time.Minute)))
		hostB.Join(hostA)
		want(t, "what was held", arrive(t, b, 5, begin), time.Minute+time.Millisecond)
		_, _ = ln.Close(), lnB.Close()
	})
}

// TestVirtualGarbage: something else has a host's place until it is revived.
func TestVirtualGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostA, hostB, a, _ := wired(t, Wire{Latency: time.Millisecond})
		ln, err := hostB.Listen("mem://c")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		hostB.Garbage()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("reading from a dead host: %v", err)
		}
		c, err := hostA.Dial(t.Context(), "mem://c")
		if err != nil {
			t.Fatal(err)
		}
		if said, err := io.ReadAll(c); len(said) == 0 || err != nil {
			t.Errorf("it says %d bytes, %v", len(said), err)
		}
		_ = c.Close()
		hostB.Revive()
		if c, err = hostA.Dial(t.Context(), "mem://c"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	})
}

// TestVirtualHollow sends zeros that are not copied between bytes that are.
func TestVirtualHollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hollow := make([]byte, 64<<10)
		_, _, a, b := wired(t, Wire{Hollow: hollow})
		for _, p := range [][]byte{[]byte("head"), hollow[100:50100], []byte("tail")} {
			if _, err := a.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, 60<<10)
		for i := range got {
			got[i] = 'x'
		}
		for _, n := range []int{4, 50000, 4} { // one read never mixes them
			if k, err := b.Read(got); k != n || err != nil {
				t.Fatalf("read %d bytes, %v; want %d", k, err, n)
			}
			if n == 50000 && (got[0] != 0 || got[49999] != 0 || got[50000] != 'x') {
				t.Error("hollow data is not zero where it was read to")
			}
		}
		if string(got[:4]) != "tail" {
			t.Errorf("%q after the hollow data", got[:4])
		}
	})
}
