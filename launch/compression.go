package launch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// CompressionStatus is what a node does about the compression of file data, which whoever reads it from
// the PFS decides and does.
type CompressionStatus struct {
	Mode string `json:"mode"` // as asked for: auto, off, s2 or zstd
	// Decision is what this node does now with the chunks that it reads from the PFS: off, s2 or zstd.
	Decision string `json:"decision"`
	// LinkShare is the bytes per second that a child got while it was sent file data, on which auto
	// decides; 0 where nothing was measured.
	LinkShare int64 `json:"link_share"`
	Compressed
}

// Compressed counts what came of compression, at one node or at all.
type Compressed struct {
	Tried   int64 `json:"tried"`   // chunks that were to be compressed
	Skipped int64 `json:"skipped"` // of Tried: would not have shrunk by a tenth, and were left alone
	// RawBytes and EncodedBytes are the lengths of those that were compressed, before and after;
	// Ratio is the one by the other, 0 where there were none.
	RawBytes     int64   `json:"raw_bytes"`
	EncodedBytes int64   `json:"encoded_bytes"`
	Ratio        float64 `json:"ratio"`
	Decoded      int64   `json:"decoded"` // chunks decoded for the nodes' own kernels
}

// Plus sums up, with the ratio of the whole.
func (c Compressed) Plus(n Compressed) Compressed {
	c.Tried += n.Tried
	c.Skipped += n.Skipped
	c.RawBytes += n.RawBytes
	c.EncodedBytes += n.EncodedBytes
	c.Decoded += n.Decoded
	if c.Ratio = 0; c.EncodedBytes > 0 {
		c.Ratio = float64(c.RawBytes) / float64(c.EncodedBytes)
	}
	return c
}

// CompressionUse is what some nodes do about compression, and on what grounds.
type CompressionUse struct {
	Mode string `json:"mode"` // as asked for
	// Doing is how many nodes do what: off, s2 or zstd.
	Doing map[string]int `json:"doing"`
	// LeastShare and MostShare are the bounds of LinkShare where it was measured, 0 where it was nowhere.
	LeastShare int64 `json:"least_link_share"`
	MostShare  int64 `json:"most_link_share"`
	Compressed
}

func (c CompressionStatus) use() CompressionUse {
	u := CompressionUse{Mode: c.Mode, Doing: map[string]int{}, LeastShare: c.LinkShare, MostShare: c.LinkShare, Compressed: c.Compressed}
	if c.Mode != "" {
		u.Doing[c.Decision] = 1
	}
	return u
}

func (c *CompressionUse) add(o CompressionUse) {
	c.Mode = cmp.Or(o.Mode, c.Mode)
	if c.Doing == nil {
		c.Doing = map[string]int{}
	}
	for decision, nodes := range o.Doing {
		c.Doing[decision] += nodes
	}
	if c.LeastShare == 0 || o.LeastShare > 0 && o.LeastShare < c.LeastShare {
		c.LeastShare = o.LeastShare
	}
	c.MostShare = max(c.MostShare, o.MostShare)
	c.Compressed = c.Plus(o.Compressed)
}

// doing says what the nodes do about compression, and on what grounds.
func (c CompressionUse) doing() string {
	if c.Mode == "" {
		return ""
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "  compression  %s", c.Mode)
	if c.Mode == "auto" {
		var parts []string
		for _, decision := range slices.Sorted(maps.Keys(c.Doing)) {
			parts = append(parts, fmt.Sprintf("%s on %s", decision, count(c.Doing[decision], "node")))
		}
		fmt.Fprintf(out, ": %s", strings.Join(parts, ", "))
	}
	switch {
	case c.MostShare == 0:
	case c.LeastShare == c.MostShare:
		fmt.Fprintf(out, "; a child gets %s/s of a link", Bytes(c.MostShare))
	default:
		fmt.Fprintf(out, "; a child gets %s/s to %s/s of a link", Bytes(c.LeastShare), Bytes(c.MostShare))
	}
	return out.String() + "\n"
}

// text says what came of it; nothing where nothing was to be compressed.
func (c Compressed) text() string {
	if c.Tried == 0 {
		return ""
	}
	return fmt.Sprintf("  compressed   %s to %s (%.1fx); %d of %s would not shrink\n",
		Bytes(c.RawBytes), Bytes(c.EncodedBytes), c.Ratio, c.Skipped, count(int(c.Tried), "chunk"))
}
