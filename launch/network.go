package launch

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// The kinds of endpoints, by how they begin.
const (
	schemeTCP = "tcp"
	schemeCXI = "ofi+cxi" // Slingshot's own protocol, through libfabric
)

// providers are libfabric's names for what carries each kind of endpoints that goes through it.
var providers = map[string]string{schemeCXI: "cxi", "ofi+tcp": "tcp;ofi_rxm", "ofi+net": "net"}

// network is what -n asks for.
type network struct {
	text   string // as it was asked for
	scheme string // of its endpoints
	place  string // for CXI the device; else an interface or an address, maybe with a port; "": all
}

// networks is what -n can be, for errors.
const networks = "tcp, tcp://INTERFACE, tcp://ADDRESS[:PORT], cxi, cxi0 … cxi7 or cxi://cxi0 (or for trials ofi+tcp and ofi+net, like tcp)"

// parseNetwork reads the value of -n.
func parseNetwork(text string) (network, error) {
	if device, err := cxiDevice(text); err == nil {
		return network{text, schemeCXI, fmt.Sprint("cxi", device)}, nil
	}
	scheme, place, _ := strings.Cut(text, "://")
	if _, fabric := providers[scheme]; (scheme == schemeTCP || fabric && scheme != schemeCXI) && !strings.ContainsAny(place, "|/ \t") {
		return network{text, scheme, place}, nil
	}
	return network{}, BadInput("network %q: want %s", text, networks)
}

// fabric tells whether its endpoints go through libfabric.
func (n network) fabric() bool { return n.scheme != schemeTCP }

// endpoints are where a daemon is to listen. Those at a CXI device are not told here.
func (n network) endpoints() ([]string, error) {
	if n.place != "" {
		return []string{n.scheme + "://" + n.place}, nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var endpoints []string
	for _, i := range interfaces {
		if addrs, err := i.Addrs(); highSpeed.MatchString(i.Name) && err == nil && len(addrs) > 0 {
			endpoints = append(endpoints, n.scheme+"://"+i.Name)
		}
	}
	if endpoints == nil {
		endpoints = []string{n.scheme + "://"} // the host's first address
	}
	return endpoints, nil
}

// overTCP is the network over TCP that comes closest: for a CXI device that was named its own interface, if this host
// has it; for an interface or an address the same; else all interfaces. has tells whether this host has an interface.
func (n network) overTCP(has func(iface string) bool) network {
	place := n.place
	if n.scheme == schemeCXI {
		place = "hsn" + strings.TrimPrefix(n.place, "cxi")
		if n.text == "cxi" || !has(place) {
			place = ""
		}
	}
	return network{n.text, schemeTCP, place}
}

// remedy is what to do where it can't be had.
func (n network) remedy() string {
	if n.scheme == schemeCXI {
		return fmt.Sprintf("take -n tcp://hsn%s or, for all interfaces, -n tcp (or --fallback, which does)", strings.TrimPrefix(n.place, "cxi"))
	}
	return "take -n tcp (or --fallback, which does)"
}

// highSpeed are the names of the interfaces to a supercomputer's own network.
var highSpeed = regexp.MustCompile(`^hsn([0-9]+)$`)

func hasInterface(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

var errNotCXI = errors.New("not a network over CXI devices")

// cxiDevice is the number of the device that network names: cxi (device 0), cxi1, or cxi://cxi1.
func cxiDevice(network string) (int, error) {
	if network == "cxi" {
		return 0, nil
	}
	number, ok := strings.CutPrefix(strings.TrimPrefix(network, "cxi://"), "cxi")
	if n, err := strconv.Atoi(number); ok && err == nil && n >= 0 && n <= 7 && len(number) == 1 {
		return n, nil
	}
	return 0, errNotCXI
}
