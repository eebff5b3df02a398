package overlay

import (
	"context"
	"net"
)

// Transport makes connections between endpoints, which are texts that only it understands and that
// begin with its scheme, like "tcp://10.0.0.1:7400".
//
// Its connections are full duplex and buffer something in both directions, and their deadlines and
// Close end what waits in Read and Write.
type Transport interface {
	// Dial connects to an endpoint. It returns when ctx is done.
	Dial(ctx context.Context, endpoint string) (net.Conn, error)

	// Listen listens at an endpoint, of which parts may be left to the transport. The listener's Addr
	// is the endpoint that others dial.
	Listen(endpoint string) (net.Listener, error)
}
