package fabric

import (
	"io"
	"testing"
)

// BenchmarkPingPong is messages of a stat's size, there and back.
func BenchmarkPingPong(b *testing.B) {
	for _, endpoint := range loopbacks {
		b.Run(Addr(endpoint).Network(), func(b *testing.B) {
			near, far := connected(b, endpoint)
			go func() { _, _ = io.CopyBuffer(struct{ io.Writer }{far}, far, make([]byte, 128)) }()
			buf := make([]byte, 128)
			for b.Loop() {
				if _, err := near.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(near, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream is the rate of a stream, written and read in pieces of a chunk's size.
func BenchmarkStream(b *testing.B) {
	for _, endpoint := range loopbacks {
		b.Run(Addr(endpoint).Network(), func(b *testing.B) {
			near, far := connected(b, endpoint)
			go func() {
				piece := make([]byte, 1<<20)
				for {
					if _, err := far.Write(piece); err != nil {
						return
					}
				}
			}()
			piece := make([]byte, 1<<20)
			b.SetBytes(int64(len(piece)))
			for b.Loop() {
				if _, err := io.ReadFull(near, piece); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
