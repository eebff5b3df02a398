package overlay

import (
	"cmp"
	"slices"
	"strings"
)

// Node is one member of the job. In a roster its index is its Rank.
type Node struct {
	Rank int
	Host string // short host name
	// Endpoints are where the node listens, one for each network interface that it offers.
	Endpoints []string
}

// neighbourly lists the ranks of the roster in the natural order of their host names, in which
// neighbours in the list are neighbours in the machine. Ranks of one host keep their order.
func neighbourly(nodes []Node) []int32 {
	order := make([]int32, len(nodes))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(compareHosts(nodes[a].Host, nodes[b].Host), cmp.Compare(a, b))
	})
	return order
}

// compareHosts orders host names with runs of digits compared as numbers: x2 comes before x10.
func compareHosts(a, b string) int {
	for a != "" && b != "" {
		if !digit(a[0]) || !digit(b[0]) {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		var m, n string
		m, a = number(a)
		n, b = number(b)
		if order := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); order != 0 {
			return order
		}
	}
	return cmp.Compare(len(a), len(b))
}

// number cuts the digits that s begins with, without their leading zeros.
func number(s string) (digits, rest string) {
	end := 0
	for end < len(s) && digit(s[end]) {
		end++
	}
	return strings.TrimLeft(s[:end], "0"), s[end:]
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
