package overlay

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// Schemes is a [Transport] of several, each for the endpoints with its scheme.
type Schemes map[string]Transport

// Dial connects to an endpoint.
func (s Schemes) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	t, err := s.of(endpoint)
	if err != nil {
		return nil, err
	}
	return t.Dial(ctx, endpoint)
}

// Listen listens at an endpoint.
func (s Schemes) Listen(endpoint string) (net.Listener, error) {
	t, err := s.of(endpoint)
	if err != nil {
		return nil, err
	}
	return t.Listen(endpoint)
}

func (s Schemes) of(endpoint string) (Transport, error) {
	scheme, _, _ := strings.Cut(endpoint, "://")
	t := s[scheme]
	if t == nil {
		return nil, fmt.Errorf("endpoint %q: there is no transport for %s", endpoint, scheme)
	}
	return t, nil
}
