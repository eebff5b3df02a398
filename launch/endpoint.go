package launch

import (
	"net"
	"regexp"
	"strings"
)

// highSpeed are the names of the interfaces to a supercomputer's own network.
var highSpeed = regexp.MustCompile(`^hsn[0-9]+$`)

// Endpoints are where a daemon is to listen, for the value of -n: tcp://interface, tcp://address or
// tcp://address:port is one endpoint; tcp is one for each high-speed interface (hsn0, hsn1, …)
// that has an address, or the host's first address where there is none.
func Endpoints(network string) ([]string, error) {
	switch {
	case network == "tcp":
		interfaces, err := net.Interfaces()
		if err != nil {
			return nil, err
		}
		var endpoints []string
		for _, i := range interfaces {
			if addrs, err := i.Addrs(); highSpeed.MatchString(i.Name) && err == nil && len(addrs) > 0 {
				endpoints = append(endpoints, "tcp://"+i.Name)
			}
		}
		if endpoints == nil {
			endpoints = []string{"tcp://"}
		}
		return endpoints, nil
	case strings.HasPrefix(network, "tcp://"):
		return []string{network}, nil
	case strings.HasPrefix(network, "cxi"):
		return nil, BadInput("network %s: this copper speaks only tcp", network)
	}
	return nil, BadInput("network %q: want tcp, tcp://INTERFACE or tcp://ADDRESS[:PORT]", network)
}
