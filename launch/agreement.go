package launch

import (
	"fmt"
	"slices"
	"strings"
)

// Meet chooses at which endpoints each rank listens, of those that it has: all of one kind, so that all ranks can
// reach each other. It takes the first kind of the first rank's that all ranks have. Ranks of one host that have
// the same endpoint at a CXI device share the device, with a PID for each. hosts are the ranks' hosts.
func Meet(hosts []string, endpoints [][]string) (chosen [][]string, err error) {
	for _, scheme := range schemesOf(endpoints[0]) {
		if chosen = ofScheme(endpoints, scheme); chosen != nil {
			return chosen, spread(hosts, chosen)
		}
	}
	var kinds []string
	at := map[string][]string{}
	for i, host := range hosts {
		kind := strings.Join(schemesOf(endpoints[i]), " and ")
		if at[kind] == nil {
			kinds = append(kinds, kind)
		}
		at[kind] = append(at[kind], host)
	}
	for i, kind := range kinds {
		kinds[i] = fmt.Sprintf("%s by %s", few(slices.Compact(at[kind])), kind)
	}
	return nil, BadInput("the nodes would not reach each other: %s: give all of them the same -n and one address book, or --fallback", strings.Join(kinds, "; "))
}

// schemeOf is the kind of an endpoint.
func schemeOf(endpoint string) string {
	scheme, _, _ := strings.Cut(endpoint, "://")
	if scheme == "cxi" { // as books may have it
		return schemeCXI
	}
	return scheme
}

func schemesOf(endpoints []string) (schemes []string) {
	for _, e := range endpoints {
		if s := schemeOf(e); !slices.Contains(schemes, s) {
			schemes = append(schemes, s)
		}
	}
	return schemes
}

// ofScheme is each rank's endpoints of one kind; nil if there is a rank without.
func ofScheme(endpoints [][]string, scheme string) [][]string {
	chosen := make([][]string, len(endpoints))
	for i, all := range endpoints {
		for _, e := range all {
			if schemeOf(e) == scheme {
				chosen[i] = append(chosen[i], e)
			}
		}
		if chosen[i] == nil {
			return nil
		}
	}
	return chosen
}

// spread gives endpoints at CXI devices that several ranks have to each of them with another PID.
func spread(hosts []string, endpoints [][]string) error {
	type users struct {
		host string
		n    int
	}
	used := map[CXI]users{}
	for i, all := range endpoints {
		for k, e := range all {
			address, err := ParseCXI(e)
			if err != nil {
				continue // at no such device
			}
			u, again := used[address]
			if again && u.host != hosts[i] {
				return BadInput("hosts %s and %s have the same endpoint %s: their address book is wrong", u.host, hosts[i], e)
			}
			pid := int(address.PID) + u.n
			if pid > mostPID {
				return BadInput("host %s: endpoint %s with %s behind it: PIDs end at %d", hosts[i], e, count(u.n, "rank"), mostPID)
			}
			used[address] = users{hosts[i], u.n + 1}
			all[k] = CXI{address.NIC, uint16(pid)}.String()
		}
	}
	return nil
}
