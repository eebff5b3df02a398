package overlay

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestPlace: the endpoint outlives its listeners, refuses while there is none, and is nobody
// else's.
func TestPlace(t *testing.T) {
	p, err := TCP{}.Reserve("tcp://127.0.0.1")
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
		if other, err := (TCP{}).Reserve(p.Endpoint()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("somebody else got it: %v, %v", other, err)
		}
		ln.Close()
	}
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	} else {
		defer ln.Close()
		if _, err := (TCP{}).Reserve("tcp://" + ln.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a port in use: %v", err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := (TCP{}).Reserve("tcp://192.0.2.77"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address elsewhere: %v", err)
	}
}
