package overlay

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
)

// Schemes is a [Transport] made of others, by the schemes of their endpoints.
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
	if t := s[scheme]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("endpoint %q: its scheme is none of %s", endpoint, strings.Join(slices.Sorted(maps.Keys(s)), ", "))
}
