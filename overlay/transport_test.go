package overlay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestTCPEndpoints(t *testing.T) {
	for _, endpoint := range []string{"tcp://127.0.0.1:0", "tcp://127.0.0.1", "tcp://lo:0", "tcp://lo", "tcp", "tcp://", "tcp://:0", "tcp://localhost:0"} {
		ln, err := TCP{}.Listen(endpoint)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		real := ln.Addr().String()
		if !strings.HasPrefix(real, "tcp://") || strings.Contains(real, "0.0.0.0") || strings.HasSuffix(real, ":0") {
			t.Errorf("%s becomes %s", endpoint, real)
		}
		if strings.Contains(endpoint, "lo") && real[:16] != "tcp://127.0.0.1:" {
			t.Errorf("%s becomes %s", endpoint, real)
		}
		conn, err := TCP{}.Dial(t.Context(), real)
		if err != nil {
			t.Errorf("%s: %v", real, err)
		} else {
			_ = conn.Close()
		}
		_ = ln.Close()
	}
	for _, endpoint := range []string{"", "udp://127.0.0.1:0", "127.0.0.1:0", "tcp://1:2:3", "tcp://no-such-interface:0", "tcp://127.0.0.1:port"} {
		if ln, err := (TCP{}).Listen(endpoint); err == nil {
			t.Errorf("%q: listens at %s", endpoint, ln.Addr())
			_ = ln.Close()
		}
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := TCP{}.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = TCP{}.Listen(ln.Addr().String())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("a port in use: %v", err)
	}
}

// TestCongestionControl: both ends have the one that suits a machine room.
func TestCongestionControl(t *testing.T) {
	available, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil || !bytes.Contains(available, []byte("cubic")) {
		t.Skip("this kernel has no cubic")
	}
	ln, err := TCP{}.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := TCP{}.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for end, conn := range map[string]net.Conn{"dialler": near, "listener": far} {
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var name string
		if err := raw.Control(func(fd uintptr) {
			name, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		}); err != nil {
			t.Fatal(err)
		}
		if name != "cubic" {
			t.Errorf("the %s has %q", end, name)
		}
	}
}

func TestVirtualEndpoints(t *testing.T) {
	network := NewVirtual()
	ln, err := network.Listen("mem://n1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := network.Listen("mem://n1"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an endpoint in use: %v", err)
	}
	if _, err := network.Listen("tcp://n1"); err == nil {
		t.Error("it listens at another transport's endpoint")
	}
	if _, err := network.Dial(t.Context(), "mem://n2"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("where nobody listens: %v", err)
	}
	for range virtualBacklog {
		if _, err := network.Dial(t.Context(), "mem://n1"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := network.Dial(ctx, "mem://n1"); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody accepts: %v", err)
	}
	_ = ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := network.Dial(t.Context(), "mem://n1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Close: %v", err)
	}
}

func TestVirtualConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := virtualPair(endpointAddr("mem://a"), endpointAddr("mem://b"))
		words := bytes.Repeat([]byte("words "), virtualBuffer) // more than fits
		go func() {
			_, _ = a.Write(words)
			_ = a.Close()
		}()
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, words) {
			t.Errorf("%d of %d bytes came, %v", len(got), len(words), err)
		}
		if _, err := b.Write(words); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to an end that is closed: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		if _, err := a.Write(words); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
	})
}

func TestVirtualDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := virtualPair(endpointAddr("mem://a"), endpointAddr("mem://b"))
		began := time.Now()
		if err := a.SetDeadline(began.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		if n, err := a.Write(make([]byte, 2*virtualBuffer)); !errors.Is(err, os.ErrDeadlineExceeded) || n != 0 {
			t.Errorf("write when it is too late: %d bytes, %v", n, err)
		}
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write(make([]byte, 2*virtualBuffer)); !errors.Is(err, os.ErrDeadlineExceeded) || n != virtualBuffer {
			t.Errorf("write to one who doesn't read: %d bytes, %v", n, err)
		}
		_ = b.SetReadDeadline(time.Time{}) // none
		time.AfterFunc(time.Hour, func() { _ = b.SetReadDeadline(time.Now()) })
		_, _ = io.ReadFull(b, make([]byte, virtualBuffer))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a deadline set while reading: %v", err)
		}
		_, _ = a.Close(), b.Close()
	})
}
