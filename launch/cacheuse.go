package launch

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// usedTable is the size of one table, or of all, with its name in outputs.
type usedTable struct {
	name string
	TableUse
}

// byTable are the tables and their sum.
func (c CacheStatus) byTable() []usedTable {
	return []usedTable{{"data", c.Data}, {"tree", c.Tree}, {"metadata", c.Meta}, {"combined", c.Data.plus(c.Tree).plus(c.Meta)}}
}

func (u TableUse) plus(o TableUse) TableUse {
	return TableUse{Entries: u.Entries + o.Entries, Bytes: u.Bytes + o.Bytes}
}

func (c CacheStatus) text() string {
	var parts []string
	for _, t := range c.byTable() {
		parts = append(parts, fmt.Sprintf("%s %s in %d entries", t.name, Bytes(t.Bytes), t.Entries))
	}
	return "  caches       " + strings.Join(parts, "; ") + "\n"
}

// WriteCacheUse prints the sizes of the nodes' tables as CSV, where nodes were asked for, and their sums in rows
// of the rank "all".
func (s Status) WriteCacheUse(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"rank", "host", "table", "entries", "bytes"}) // told by out.Error
	rows := func(rank, host string, c CacheStatus) {
		for _, t := range c.byTable() {
			_ = out.Write([]string{rank, host, t.name, strconv.FormatInt(t.Entries, 10), strconv.FormatInt(t.Bytes, 10)})
		}
	}
	for _, n := range s.Nodes {
		rows(strconv.Itoa(n.Rank), n.Host, n.Cache)
	}
	rows("all", "", s.Cluster.Cache)
	out.Flush()
	return out.Error()
}
