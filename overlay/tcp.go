package overlay

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/copper-hpc/copper/overlay/iface"
	"golang.org/x/sys/unix"
)

const schemeTCP = "tcp"

// TCP is the [Transport] over TCP. Its endpoints are "tcp://address:port".
//
// Listen also takes the name of a network interface for the address, whose first address it is
// then, IPv4 before IPv6; no address at all for the host's first that isn't a loopback; and no
// port, or port 0, for any that is free.
type TCP struct{}

// Dial connects to an endpoint.
func (TCP) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	host, port, err := splitEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: useCubic}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
}

// Listen listens at an endpoint.
func (TCP) Listen(endpoint string) (net.Listener, error) {
	host, port, err := splitEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if host, err = iface.Address(host); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", endpoint, err)
	}
	lc := net.ListenConfig{Control: useCubic} // what is accepted inherits it
	ln, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", endpoint, err)
	}
	return tcpListener{ln}, nil
}

// useCubic asks for a congestion control that suits a machine room; the kernel's default may be one
// for the wide area, at half the rate. Where it is refused the default does.
func useCubic(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	})
}

type tcpListener struct{ net.Listener }

func (l tcpListener) Addr() net.Addr {
	return endpointAddr(schemeTCP + "://" + l.Listener.Addr().String())
}

// endpointAddr is an endpoint as a net.Addr.
type endpointAddr string

func (a endpointAddr) Network() string {
	network, _, _ := strings.Cut(string(a), "://")
	return network
}
func (a endpointAddr) String() string { return string(a) }

// splitEndpoint returns port "0" if the endpoint has none.
func splitEndpoint(endpoint string) (host, port string, err error) {
	scheme, rest, _ := strings.Cut(endpoint, "://")
	if scheme != schemeTCP {
		return "", "", fmt.Errorf("endpoint %q: want tcp://address:port", endpoint)
	}
	if host, port, err = net.SplitHostPort(rest); err == nil {
		return host, port, nil
	}
	if host, port, err = net.SplitHostPort(rest + ":0"); err != nil {
		return "", "", fmt.Errorf("endpoint %q: want tcp://address:port", endpoint)
	}
	return host, port, nil
}
