package overlay

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestPlace: the endpoint outlives its listeners, refuses while there is none, and is nobody
// else's.
func TestPlace(t *testing.T) {
	p, err := Reserve("tcp://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dial := func() error {
		conn, err := TCP{}.Dial(t.Context(), p.Endpoint())
		if err == nil {
			conn.Close()
		}
		return err
	}
	for range 3 {
		if err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("while nobody listens: %v", err)
		}
		f, err := p.Listen()
		if err != nil {
			t.Fatal(err)
		}
		all, err := Adopt([]*os.File{f})
		if err != nil {
			t.Fatal(err)
		}
		ln := all[0]
		if ln.Addr().String() != p.Endpoint() {
			t.Errorf("it listens at %s, reserved was %s", ln.Addr(), p.Endpoint())
		}
		if err := dial(); err != nil {
			t.Errorf("while somebody listens: %v", err)
		}
		if other, err := Reserve(p.Endpoint()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("somebody else got it: %v, %v", other, err)
		}
		ln.Close()
	}
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	} else {
		defer ln.Close()
		if _, err := Reserve("tcp://" + ln.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a port in use: %v", err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Reserve("tcp://192.0.2.77"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address elsewhere: %v", err)
	}
}

// TestPlaces: those where a daemon listens itself are held too, and only as long as they are wanted.
func TestPlaces(t *testing.T) {
	ps, err := ReserveAll([]string{"ofi+tcp://127.0.0.1", "ofi+cxi://0x00916600", "tcp://lo"})
	if err != nil {
		t.Fatal(err)
	}
	endpoints := ps.Endpoints()
	port, held := strings.CutPrefix(endpoints[0], "ofi+tcp://127.0.0.1:")
	if !held || port == "0" || endpoints[1] != "ofi+cxi://0x00916600" || !strings.HasPrefix(endpoints[2], "tcp://127.0.0.1:") {
		t.Fatalf("reserved %q", endpoints)
	}
	files, err := ps.Listen()
	if err != nil || len(files) != 1 {
		t.Fatalf("%d listening sockets, %v; want one for the only place over TCP", len(files), err)
	}
	files[0].Close()
	// What is merely bound lets somebody listen there, as the daemon will, but not two.
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatalf("nobody can listen at what was reserved: %v", err)
	}
	if _, err := Reserve("tcp://127.0.0.1:" + port); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("what somebody listens at can be reserved: %v", err)
	}
	ln.Close()
	kept, err := ps.Keep("ofi+cxi")
	if err != nil || len(kept) != 1 || kept[0].Endpoint() != endpoints[1] {
		t.Errorf("kept %q, %v", kept.Endpoints(), err)
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ReserveAll([]string{"ofi+net://127.0.0.1", "ofi+net://192.0.2.77"}); !errors.Is(err, syscall.EADDRNOTAVAIL) || !strings.Contains(err.Error(), "ofi+net://192.0.2.77") {
		t.Errorf("an address elsewhere: %v", err)
	}
}
