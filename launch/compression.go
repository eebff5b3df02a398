package launch

import (
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

// compressionText says what the nodes do about compression, and on what grounds.
func compressionText(nodes []NodeStatus) string {
	var mode string
	doing := map[string]int{}
	var least, most int64
	for _, n := range nodes {
		c := n.Compression
		if c.Mode == "" {
			continue
		}
		mode = c.Mode
		doing[c.Decision]++
		if c.LinkShare > 0 {
			if least == 0 || c.LinkShare < least {
				least = c.LinkShare
			}
			most = max(most, c.LinkShare)
		}
	}
	if mode == "" {
		return ""
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "  compression  %s", mode)
	if mode == "auto" {
		var parts []string
		for _, decision := range slices.Sorted(maps.Keys(doing)) {
			parts = append(parts, fmt.Sprintf("%s on %s", decision, count(doing[decision], "node")))
		}
		fmt.Fprintf(out, ": %s", strings.Join(parts, ", "))
	}
	switch {
	case most == 0:
	case least == most:
		fmt.Fprintf(out, "; a child gets %s/s of a link", Bytes(most))
	default:
		fmt.Fprintf(out, "; a child gets %s/s to %s/s of a link", Bytes(least), Bytes(most))
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
