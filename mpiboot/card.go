package mpiboot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Card is what one rank tells all others about itself.
type Card struct {
	Rank      int      // filled in by Exchange
	Host      string   // short host name; filled in by Exchange if empty
	Endpoints []string // where the rank's server listens; the order is the rank's own
	PID       int      // filled in by Exchange if 0
	Version   int      // of the overlay's protocol; all ranks must agree
	Mount     string   // mount point on that host
	// Interfaces are the host's to the fast network, in words that this package does not look into.
	Interfaces string
	// Note is what is not as it was asked for on this rank, in lines of at most 2 KiB together; "": nothing.
	Note string
}

// What a card may hold. A roster of 10,000 of the largest cards still fits MPI's int counts.
const (
	maxHost       = 255 // bytes
	maxEndpoints  = 64
	maxEndpoint   = 255  // bytes, each
	maxMount      = 4096 // bytes
	maxInterfaces = 2048 // bytes
	maxNote       = 2048 // bytes
)

// cardFormat is the first byte of an encoded card. It changes whenever the encoding does.
const cardFormat = 3

var errCardShort = errors.New("card ends too early")

// check reports what keeps the card from being encoded.
func (c *Card) check() error {
	switch {
	case c.Host == "" || len(c.Host) > maxHost:
		return fmt.Errorf("card: host name of %d bytes, want 1 to %d", len(c.Host), maxHost)
	case len(c.Endpoints) > maxEndpoints:
		return fmt.Errorf("card: %d endpoints, at most %d", len(c.Endpoints), maxEndpoints)
	case len(c.Mount) > maxMount:
		return fmt.Errorf("card: mount point of %d bytes, at most %d", len(c.Mount), maxMount)
	case len(c.Interfaces) > maxInterfaces:
		return fmt.Errorf("card: interfaces in %d bytes, at most %d", len(c.Interfaces), maxInterfaces)
	case len(c.Note) > maxNote:
		return fmt.Errorf("card: note of %d bytes, at most %d", len(c.Note), maxNote)
	}
	for _, e := range c.Endpoints {
		if e == "" || len(e) > maxEndpoint {
			return fmt.Errorf("card: endpoint of %d bytes, want 1 to %d", len(e), maxEndpoint)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"rank", c.Rank}, {"process id", c.PID}, {"version", c.Version}} {
		if n.value < 0 || n.value > math.MaxInt32 {
			return fmt.Errorf("card: %s %d is out of range", n.name, n.value)
		}
	}
	return nil
}

// appendCard appends the encoding of c. Every card has exactly one: integers are four bytes and
// strings carry a length of two bytes, most significant first.
func appendCard(b []byte, c Card) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b = append(b, cardFormat)
	for _, n := range []int{c.Rank, c.PID, c.Version} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b = appendString(b, c.Host)
	b = appendString(b, c.Mount)
	b = appendString(b, c.Interfaces)
	b = appendString(b, c.Note)
	b = append(b, byte(len(c.Endpoints)))
	for _, e := range c.Endpoints {
		b = appendString(b, e)
	}
	return b, nil
}

// decodeCard is the inverse of appendCard. It allocates no more than b is long, and accepts
// nothing that appendCard would not have written.
func decodeCard(b []byte) (Card, error) {
	d := decoder{rest: b}
	if format := d.byte(); d.err == nil && format != cardFormat {
		return Card{}, fmt.Errorf("card in format %d, want %d: the ranks run different versions of this program",
			format, cardFormat)
	}
	c := Card{Rank: d.int(), PID: d.int(), Version: d.int(), Host: d.string(maxHost), Mount: d.string(maxMount),
		Interfaces: d.string(maxInterfaces), Note: d.string(maxNote)}
	n := int(d.byte())
	for i := 0; i < n && d.err == nil; i++ {
		c.Endpoints = append(c.Endpoints, d.string(maxEndpoint))
	}
	if d.err == nil && len(d.rest) > 0 {
		d.err = fmt.Errorf("card is followed by %d bytes too many", len(d.rest))
	}
	if d.err == nil {
		d.err = c.check()
	}
	if d.err != nil {
		return Card{}, d.err
	}
	return c, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// decoder takes values off the front of rest. After the first error all values are zero.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) take(n int) []byte {
	if d.err == nil && len(d.rest) < n {
		d.err = errCardShort
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) int() int {
	if b := d.take(4); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) string(limit int) string {
	b := d.take(2)
	if b == nil {
		return ""
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > limit {
		d.err = fmt.Errorf("card has a string of %d bytes where at most %d may be", n, limit)
		return ""
	}
	return string(d.take(n))
}
