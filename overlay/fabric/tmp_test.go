package fabric

import (
	"context"
	"io"
	"testing"
	"time"
)

func TestTmpRefused(t *testing.T) {
	for _, e := range []string{"ofi+tcp://127.0.0.1:9", "ofi+net://127.0.0.1:9"} {
		tr := transport(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		b := time.Now()
		_, err := tr.Dial(ctx, e)
		cancel()
		t.Log(e, err, time.Since(b))
	}
	for _, e := range loopbacks {
		tr := transport(t)
		ln := listen(t, transport(t), e)
		at := ln.Addr().String()
		ln.Close()
		time.Sleep(300 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		b := time.Now()
		_, err := tr.Dial(ctx, at)
		cancel()
		t.Log(e, err, time.Since(b))
		// again with somebody there
		l2, err := transport(t).Listen(at)
		if err != nil {
			t.Log(err)
			continue
		}
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		b = time.Now()
		c, err := tr.Dial(ctx, at)
		cancel()
		t.Log("restarted", e, err, time.Since(b))
		_, _ = c, l2
	}
	for _, dev := range []string{"tcp;ofi_rxm", "net", "cxi"} {
		d, err := Devices(dev)
		t.Log(d, err)
	}
	t.Log(Library())
}

func BenchmarkTmp(b *testing.B) {
	for _, e := range loopbacks {
		b.Run(e, func(b *testing.B) {
			near, far := connected(b, e)
			b.Run("ping", func(b *testing.B) {
				done := make(chan bool)
				go func() {
					buf := make([]byte, 100)
					for i := 0; i < b.N; i++ {
						io.ReadFull(far, buf)
						far.Write(buf)
					}
					done <- true
				}()
				buf := make([]byte, 100)
				for i := 0; i < b.N; i++ {
					near.Write(buf)
					io.ReadFull(near, buf)
				}
				<-done
			})
			b.Run("bulk", func(b *testing.B) {
				b.SetBytes(1 << 20)
				done := make(chan bool)
				go func() {
					buf := make([]byte, 1<<20)
					for i := 0; i < b.N; i++ {
						io.ReadFull(far, buf)
					}
					done <- true
				}()
				buf := make([]byte, 1<<20)
				for i := 0; i < b.N; i++ {
					near.Write(buf)
				}
				<-done
			})
		})
	}
}
