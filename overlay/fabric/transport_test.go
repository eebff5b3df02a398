package fabric

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func listen(t testing.TB, tr *Transport, endpoint string) net.Listener {
	t.Helper()
	ln, err := tr.Listen(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// connected makes a connection between two transports.
func connected(t testing.TB, endpoint string) (near, far net.Conn) {
	t.Helper()
	ln := listen(t, transport(t), endpoint)
	near, err := transport(t).Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

func TestConn(t *testing.T) {
	for _, endpoint := range loopbacks {
		t.Run(Addr(endpoint).Network(), func(t *testing.T) {
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
				return c1, c2, func() {
					_, _ = a.Close(), b.Close()
				}, nil
			})
		})
	}
}
