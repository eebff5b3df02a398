package fabric

import (
	"context"
	"log/slog"
	"net"
)

// Transport makes connections over libfabric.
type Transport struct{ log *slog.Logger }

// New makes a transport. Nothing is loaded until it is used.
func New(log *slog.Logger) *Transport { return &Transport{log: log} }

// Listen opens an endpoint.
func (t *Transport) Listen(endpoint string) (net.Listener, error) { return nil, ErrNotBuilt }

// Dial connects to an endpoint.
func (t *Transport) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	return nil, ErrNotBuilt
}

// Close ends all endpoints.
func (t *Transport) Close() error { return nil }

// Library loads libfabric if it isn't yet and tells which it is.
func Library() (Info, error) { return Info{}, ErrNotBuilt }

// Devices are a provider's devices on this host.
func Devices(provider string) ([]Device, error) { return nil, ErrNotBuilt }
