package store

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Encoding is a form that a chunk's data can have, as it also travels between nodes.
type Encoding uint8

// The encodings. S2 is the fast one, Zstd (at its fastest level) the small one.
const (
	Raw Encoding = iota
	S2
	Zstd
	Encodings
)

// String is the encoding's name; that of Raw is "off", as it says what compression does.
func (e Encoding) String() string {
	if e >= Encodings {
		return fmt.Sprintf("encoding %d", uint8(e))
	}
	return [...]string{"off", "s2", "zstd"}[e]
}

// errDamaged: encoded data that doesn't decode to what it should.
var errDamaged = errors.New("damaged compressed data")

// zstdEncoder and zstdDecoder are made when they are first used. They keep memory for each goroutine
// that uses them at a time.
var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(ChunkSize),
			zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(codecWorkers()))
		if err != nil {
			panic(err) // the options are constant
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(codecWorkers()), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(ChunkSize), zstd.WithDecoderMaxMemory(ChunkSize), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// codecWorkers bounds what is encoded, and what is decoded, at one time: more than the processors
// can do would only take memory.
func codecWorkers() int { return min(runtime.GOMAXPROCS(0), 16) }

// encode returns the encoded form of src, in buf where that has room.
func encode(e Encoding, buf, src []byte) []byte {
	if e == Zstd {
		return zstdEncoder().EncodeAll(src, buf[:0])
	}
	return s2.Encode(buf[:cap(buf)], src)
}

// decode fills dst with what src, of whatever origin, encodes. It fails unless that is of exactly
// this length, and takes no memory for more.
func decode(e Encoding, dst, src []byte) error {
	switch {
	case len(dst) == 0:
	case e == S2:
		if n, err := s2.DecodedLen(src); err != nil || n != len(dst) {
			break
		}
		if _, err := s2.Decode(dst, src); err == nil {
			return nil
		}
	case e == Zstd:
		got, err := zstdDecoder().DecodeAll(src, dst[:0:len(dst)])
		if err == nil && len(got) == len(dst) && &got[0] == &dst[0] {
			return nil
		}
	}
	return errDamaged
}
