package launch

import "strings"

// Endpoint is where a daemon is to listen, for the value of -n: tcp, tcp://interface,
// tcp://address or tcp://address:port.
func Endpoint(network string) (string, error) {
	switch {
	case network == "tcp":
		return "tcp://", nil
	case strings.HasPrefix(network, "tcp://"):
		return network, nil
	case strings.HasPrefix(network, "cxi"):
		return "", BadInput("network %s: this copper speaks only tcp", network)
	}
	return "", BadInput("network %q: want tcp, tcp://INTERFACE or tcp://ADDRESS[:PORT]", network)
}
