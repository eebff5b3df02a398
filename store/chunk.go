package store

import (
	"hash/crc32"
	"sync/atomic"
)

// Chunk is a piece of file data outside the Go heap, shared by reference count.
//
// It is raw, or encoded: then it holds the data compressed, as it was where it was read from the
// PFS, and is handed on that way; only [Expand] makes it raw again. Its checksum is that of the
// raw data in either form, so it holds from the PFS to the kernel. An encoded chunk has a
// second one, over the bytes that it has, so that a node can tell at little cost whether they
// came unharmed, without decoding them.
type Chunk struct {
	data     []byte
	encoding Encoding
	length   int    // of the raw data, if it is encoded
	crc      uint32 // of the raw data
	sum      uint32 // of data, if it is encoded

	refs  atomic.Int32
	mem   *Memory
	span  *span
	block uint16

	// raw is the decoded form of an encoded chunk, with a reference, while an [Expand] keeps it.
	raw atomic.Pointer[Chunk]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Bytes is the data of a raw chunk: writable by whoever fills it until it is sealed, read-only
// after, and valid until the reference is released. It is nil for an encoded chunk, whose
// bytes nobody must take for the file's.
func (c *Chunk) Bytes() []byte {
	if c.encoding != Raw {
		return nil
	}
	return c.data
}

// Encoding is the form that the chunk is in.
func (c *Chunk) Encoding() Encoding { return c.encoding }

// Encoded is the data in that form: what is kept and sent.
func (c *Chunk) Encoded() []byte { return c.data }

// Len is the length of the raw data in bytes.
func (c *Chunk) Len() int {
	if c.encoding == Raw {
		return len(c.data)
	}
	return c.length
}

// Seal ends the filling of a chunk by the one who read it from the PFS: its checksum is taken.
func (c *Chunk) Seal() { c.crc = crc32.Checksum(c.data, castagnoli) }

// SealAs ends the filling of a chunk that came with a checksum, and tells whether it agrees.
func (c *Chunk) SealAs(crc uint32) bool {
	c.crc = crc
	return c.Intact()
}

// SealEncoded ends the filling of a chunk into whose first n bytes its data came encoded, with the
// checksum of the raw data and that of these bytes. It tells whether the latter agrees, and if so
// gives back what room is left. The chunk must be the caller's alone.
func (c *Chunk) SealEncoded(e Encoding, n int, crc, sum uint32) bool {
	if crc32.Checksum(c.data[:n], castagnoli) != sum {
		return false
	}
	c.becomes(e, n, crc, sum)
	return true
}

// becomes makes of a chunk that is the caller's alone one of the encoded data in its first n bytes.
func (c *Chunk) becomes(e Encoding, n int, crc, sum uint32) {
	c.encoding, c.length, c.crc, c.sum = e, len(c.data), crc, sum
	c.mem.shrink(c, n)
}

// CRC is the CRC-32C (Castagnoli) of the raw data, as taken where it was read from the PFS.
func (c *Chunk) CRC() uint32 { return c.crc }

// EncodedCRC is the CRC-32C of [Chunk.Encoded].
func (c *Chunk) EncodedCRC() uint32 {
	if c.encoding == Raw {
		return c.crc
	}
	return c.sum
}

// Intact tells whether the chunk's bytes, in the form that they are in, still have the checksum
// that they were sealed with.
func (c *Chunk) Intact() bool { return crc32.Checksum(c.data, castagnoli) == c.EncodedCRC() }

// Retain adds a reference; the caller must hold one.
func (c *Chunk) Retain() { c.refs.Add(1) }

// Release gives one reference back; the last one frees the memory.
func (c *Chunk) Release() {
	switch n := c.refs.Add(-1); {
	case n == 0:
		c.dropRaw()
		c.mem.give(c.span, c.block)
	case n < 0:
		panic("store: chunk released more often than retained")
	}
}

// dropRaw gives the decoded form up.
func (c *Chunk) dropRaw() {
	if raw := c.raw.Swap(nil); raw != nil {
		raw.Release()
	}
}
