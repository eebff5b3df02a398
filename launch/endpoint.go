package launch

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// highSpeed are the names of the interfaces to a supercomputer's own network.
var highSpeed = regexp.MustCompile(`^hsn([0-9]+)$`)

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
	}
	if device, err := cxiDevice(network); err == nil {
		return nil, BadInput("network %s: this copper speaks only tcp and not Slingshot's own protocol: take -n tcp://hsn%d or, for all interfaces, -n tcp (or --fallback, which does)",
			network, device)
	}
	return nil, BadInput("network %q: want tcp, tcp://INTERFACE, tcp://ADDRESS[:PORT], cxi, cxi0 … cxi7 or cxi://cxi0", network)
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

// insteadOfCXI is the network over TCP for one over CXI devices: all high-speed interfaces for all devices,
// and for a device its own interface, if this host has it. has tells whether it does.
func insteadOfCXI(network string, has func(iface string) bool) string {
	device, err := cxiDevice(network)
	if iface := fmt.Sprint("hsn", device); err == nil && network != "cxi" && has(iface) {
		return "tcp://" + iface
	}
	return "tcp"
}

func hasInterface(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// CheckEndpoint reports what keeps text from being an endpoint, SCHEME://ADDRESS. What the address means
// is for those to know who use it; only that of a CXI device is looked at.
func CheckEndpoint(text string) error {
	scheme, address, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || address == "" || strings.ContainsRune(text, '|') {
		return fmt.Errorf("%q is not an endpoint such as tcp://10.0.0.1 or ofi+cxi://0x00916600", text)
	}
	if strings.TrimPrefix(scheme, "ofi+") == "cxi" {
		_, err := ParseCXI(text)
		return err
	}
	return nil
}

// CXI is the address of an endpoint at a CXI device.
type CXI struct {
	NIC uint32 // 20 bits: the device, among all of the machine's
	PID uint16 // 9 bits: the endpoint at the device
}

const (
	cxiPIDBits = 9
	cxiNICBits = 20
)

// ParseCXI reads an endpoint such as ofi+cxi://0x00916600.
func ParseCXI(endpoint string) (CXI, error) {
	hex, ok := strings.CutPrefix(strings.TrimPrefix(endpoint, "ofi+"), "cxi://0x")
	address, err := strconv.ParseUint(hex, 16, cxiNICBits+cxiPIDBits)
	if !ok || err != nil {
		return CXI{}, fmt.Errorf("%q is not the endpoint of a CXI device such as ofi+cxi://0x00916600: a NIC of %d bits and a PID of %d",
			endpoint, cxiNICBits, cxiPIDBits)
	}
	return CXI{NIC: uint32(address >> cxiPIDBits), PID: uint16(address & (1<<cxiPIDBits - 1))}, nil
}

// String is what [ParseCXI] reads.
func (c CXI) String() string {
	return fmt.Sprintf("ofi+cxi://0x%08x", c.NIC<<cxiPIDBits|uint32(c.PID))
}
