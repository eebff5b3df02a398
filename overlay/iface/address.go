// Package iface tells which of a host's addresses is meant by the name of a network interface, or by
// none.
package iface

import (
	"errors"
	"net"
)

// Address is the address to listen at: of a network interface, if host is the name of one; the host's
// first that others reach, if it is empty; and host as it is otherwise. IPv4 comes before IPv6. It is
// never a wildcard: others couldn't dial that, and interfaces that weren't asked for stay closed.
func Address(host string) (string, error) {
	if host == "" {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return "", err
		}
		return firstAddress(addrs)
	}
	named, err := net.InterfaceByName(host)
	if err != nil {
		return host, nil //nolint:nilerr // not an interface: an address or a host name
	}
	addrs, err := named.Addrs()
	if err != nil {
		return "", err
	}
	return firstAddress(addrs)
}

// firstAddress prefers an address that other hosts reach, and IPv4.
func firstAddress(addrs []net.Addr) (string, error) {
	var best net.IP
	for _, addr := range addrs {
		network, ok := addr.(*net.IPNet)
		if ok && !network.IP.IsLinkLocalUnicast() && (best == nil || preferable(network.IP, best)) {
			best = network.IP
		}
	}
	if best == nil {
		return "", errors.New("there is no address")
	}
	return best.String(), nil
}

func preferable(a, b net.IP) bool {
	if a.IsLoopback() != b.IsLoopback() {
		return b.IsLoopback()
	}
	return a.To4() != nil && b.To4() == nil
}
