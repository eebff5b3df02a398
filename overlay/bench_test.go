package overlay

import (
	"io"
	"net"
	"testing"

	"github.com/copper-hpc/copper/store"
)

// pair is a parent that knows everything already, and its child, over TCP.
func pair(b *testing.B, file []byte, encrypt bool) (child *member, f store.File) {
	tree, origin := pfs(b, 1)
	tree.Write("/big", file)
	c := start(b, plan{
		nodes: 2, endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return TCP{} }, origin: origin,
		config: func(cfg *Config) { cfg.Encrypt = encrypt },
	})
	child = c.at(0, 1)
	child.stat(b, "/d/f0")
	return child, store.File{Path: "/big", Version: child.stat(b, "/big").Version()}
}

// BenchmarkStat is the round trip of a stat that the parent answers from memory.
func BenchmarkStat(b *testing.B) {
	child, _ := pair(b, nil, false)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			child.stat(b, "/d/f0")
		}
	})
	b.Run("many", func(b *testing.B) {
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				child.stat(b, "/d/f0")
			}
		})
	})
}

// BenchmarkPingPong is what BenchmarkStat/one is to be held against: messages of the same size,
// there and back, with nothing done to them.
func BenchmarkPingPong(b *testing.B) {
	ln, err := TCP{}.Listen("tcp://127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	ask, answer := make([]byte, headerSize+versionSize+5), make([]byte, headerSize+attrSize)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in, out := make([]byte, len(ask)), make([]byte, len(answer))
		for {
			if _, err := io.ReadFull(conn, in); err != nil {
				return
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}()
	conn, err := TCP{}.Dial(b.Context(), ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	exchange(b, conn, ask, answer)
}

func exchange(b *testing.B, conn net.Conn, ask, answer []byte) {
	for b.Loop() {
		if _, err := conn.Write(ask); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChunk is the rate at which chunks come that the parent has in memory.
func BenchmarkChunk(b *testing.B) {
	for name, encrypt := range map[string]bool{"plain": false, "encrypted": true} {
		b.Run(name, func(b *testing.B) {
			const chunks = 16
			child, file := pair(b, make([]byte, chunks*store.ChunkSize), encrypt)
			b.SetBytes(store.ChunkSize)
			b.SetParallelism(2)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := int64(0); pb.Next(); i++ {
					chunk, err := child.ReadChunk(b.Context(), file, i%chunks)
					if err != nil {
						b.Fatal(err)
					}
					chunk.Release()
				}
			})
		})
	}
}
