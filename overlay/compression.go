package overlay

import (
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Compression decides how chunks are encoded that this node reads from the PFS: always in one way, or
// by what a child gets of the link.
//
// That share is measured where chunks are sent: the bytes written over the time that the writing
// took, which on a link that is the bottleneck is the time that they took to leave. What a link
// does not hold up is only copied into the kernel, at several GB/s, so a link that has
// room to spare never seems narrow. Children on this very host count for nothing.
type Compression struct {
	mode  string
	fixed bool

	mu      sync.Mutex
	now     store.Encoding
	bytes   float64 // written, older ones counting less
	seconds float64 // that it took, likewise
	since   int64   // bytes measured since now was last changed
}

// CompressionModes are the names that NewCompression knows: by measurement, never, or one encoding.
var CompressionModes = []string{"auto", store.Raw.String(), store.S2.String(), store.Zstd.String()}

const (
	// leastMeasured is the shortest write that tells something of the link, in bytes.
	leastMeasured = 128 << 10
	// measuredHalf is after how many further bytes a measurement counts half.
	measuredHalf = 32 << 20
	// settling is how many bytes must be measured before the decision is changed, again or for the first
	// time. An encoding changes what is measured: without it a decision could undo itself.
	settling = 32 << 20
)

// pays is up to which share of the link, in bytes per second, an encoding gets data to the children
// sooner than the less thorough ones. One that is in use stays so a bit longer.
//
// The rates are where BenchmarkChain has them cross on two cores: S2 encodes some 700 MB/s on one
// core and decodes 1,400, Zstd 250 and 1,000, to 0.7 of what S2 makes of shared libraries and Python code
// (BenchmarkCompress in store).
var pays = []struct {
	encoding     store.Encoding
	below, until float64
}{
	{store.Zstd, 80e6, 125e6},
	{store.S2, 800e6, 1250e6},
}

// NewCompression returns the Compression of that name, one of [CompressionModes].
func NewCompression(mode string) (*Compression, error) {
	c := &Compression{mode: mode}
	if mode == CompressionModes[0] {
		return c, nil
	}
	c.fixed = true
	for e := range store.Encodings {
		if e.String() == mode {
			c.now = e
			return c, nil
		}
	}
	return nil, fmt.Errorf("compression %q: want %s", mode, strings.Join(CompressionModes, ", "))
}

// Encoding is what chunks are to be encoded in now.
func (c *Compression) Encoding() store.Encoding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// CompressionStats is a reading of a Compression.
type CompressionStats struct {
	Mode     string         // as asked for
	Decision store.Encoding // as it is now
	// Share is the bytes per second that a child gets while it is sent something; 0 where nothing
	// was measured yet.
	Share int64
}

// Stats reads the Compression.
func (c *Compression) Stats() CompressionStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CompressionStats{Mode: c.mode, Decision: c.now}
	if c.bytes > 0 {
		s.Share = int64(min(c.share(), math.MaxInt64/2))
	}
	return s
}

func (c *Compression) share() float64 { return c.bytes / c.seconds }

// sent takes note of a write.
func (c *Compression) sent(n int64, took time.Duration) {
	if n < leastMeasured {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fade := math.Exp2(-float64(n) / measuredHalf)
	c.bytes = c.bytes*fade + float64(n)
	c.seconds = c.seconds*fade + took.Seconds()
	if c.since += n; c.fixed || c.since < settling {
		return
	}
	if now := decide(c.now, c.share()); now != c.now {
		c.now, c.since = now, 0
	}
}

// decide is what to encode in where now is in use and a child gets that share of the link.
func decide(now store.Encoding, share float64) store.Encoding {
	for _, p := range pays {
		limit := p.below
		if p.encoding == now {
			limit = p.until
		}
		if share < limit {
			return p.encoding
		}
	}
	return store.Raw
}

// measured is a connection's Compression to tell of what is written, or nil.
func (c *Compression) measured(conn net.Conn, ch channel) *Compression {
	if c == nil || ch != bulk {
		return nil
	}
	near, ok := conn.LocalAddr().(*net.TCPAddr)
	far, okFar := conn.RemoteAddr().(*net.TCPAddr)
	if ok && okFar && near.IP.Equal(far.IP) {
		return nil // no link is between them
	}
	return c
}
