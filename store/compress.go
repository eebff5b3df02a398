package store

import (
	"context"
	"hash/crc32"
	"sync/atomic"
)

const (
	// leastEncoded is the length from which chunks are encoded, in bytes. What a shorter one would
	// save on its way is little beside what any message costs.
	leastEncoded = 16 << 10
	// A chunk of which samples, in bytes, don't shrink is not encoded as a whole.
	sampleSize = 16 << 10
	samples    = 3
	// leastSampled is the length from which samples are taken, in bytes.
	leastSampled = 128 << 10
)

// Compress is a [Source] in front of another, which encodes the chunks that are worth it. It
// belongs in front of an [Origin]: chunks are kept, handed on and stored as they leave it, and
// [Expand] decodes them.
//
// A chunk is worth it if that saves a tenth of its length. No memory is needed for it but
// that which the raw chunk has, and a few buffers beside the budget, so nobody waits for memory
// here while holding a chunk.
type Compress struct {
	Source
	policy  func() Encoding
	buffers chan []byte // one for each chunk that may be encoded at a time
	counts  struct{ encoded, skipped, rawBytes, encodedBytes atomic.Int64 }
}

// CompressCounts counts the chunks that a [Compress] was to encode.
type CompressCounts struct {
	Encoded int64 `json:"encoded"`
	// Skipped were left as they are, because they would not have shrunk by a tenth.
	Skipped int64 `json:"skipped"`
	// RawBytes and EncodedBytes are the lengths of those that were encoded, before and after.
	RawBytes     int64 `json:"raw_bytes"`
	EncodedBytes int64 `json:"encoded_bytes"`
}

// NewCompress returns a Compress in front of src, whose chunks nobody else may hold. policy is
// asked, for each chunk, how it is to be encoded now; it must not block.
func NewCompress(src Source, policy func() Encoding) *Compress {
	x := &Compress{Source: src, policy: policy, buffers: make(chan []byte, codecWorkers())}
	for range cap(x.buffers) {
		x.buffers <- nil
	}
	return x
}

// Counts reads the counters.
func (x *Compress) Counts() CompressCounts {
	return CompressCounts{
		Encoded: x.counts.encoded.Load(), Skipped: x.counts.skipped.Load(),
		RawBytes: x.counts.rawBytes.Load(), EncodedBytes: x.counts.encodedBytes.Load(),
	}
}

// ReadChunk implements [Source].
func (x *Compress) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	c, err := x.Source.ReadChunk(ctx, file, index)
	if err != nil {
		return nil, err
	}
	e := x.policy()
	if e == Raw || c.Encoding() != Raw || c.Len() < leastEncoded {
		return c, nil
	}
	// Whoever has a buffer needs only a processor to be done with it.
	select {
	case buf := <-x.buffers:
		buf = x.encode(c, e, buf)
		x.buffers <- buf
		return c, nil
	case <-ctx.Done():
		c.Release()
		return nil, ctx.Err()
	}
}

// encode returns the buffer, which may have grown.
func (x *Compress) encode(c *Chunk, e Encoding, buf []byte) []byte {
	if c.Len() >= leastSampled {
		var shrinks bool
		if shrinks, buf = trial(c.data, e, buf); !shrinks {
			x.counts.skipped.Add(1)
			return buf
		}
	}
	encoded := encode(e, buf, c.data)
	n := len(c.data)
	if len(encoded) > n-n/10 {
		x.counts.skipped.Add(1)
		return encoded
	}
	sum := crc32.Checksum(encoded, castagnoli)
	copy(c.data, encoded)
	c.becomes(e, len(encoded), c.crc, sum)
	x.counts.encoded.Add(1)
	x.counts.rawBytes.Add(int64(n))
	x.counts.encodedBytes.Add(int64(len(encoded)))
	return encoded
}

// trial tells whether samples of data shrink, if only by a twentieth: a sample shrinks less than
// the whole, which has more to refer back to.
func trial(data []byte, e Encoding, buf []byte) (shrinks bool, grown []byte) {
	total := 0
	for i := range samples {
		from := i * (len(data) - sampleSize) / (samples - 1)
		buf = encode(e, buf, data[from:from+sampleSize])
		total += len(buf)
	}
	return total <= samples*sampleSize*19/20, buf
}
