package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestCodecs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]Encoding{S2, Zstd}).Draw(t, "encoding")
		word := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "word")
		data := bytes.Repeat(word, rapid.IntRange(1, 2000).Draw(t, "times"))
		encoded := bytes.Clone(encode(e, nil, data))
		got := make([]byte, len(data))
		if err := decode(e, got, encoded); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%v of %d bytes: %v", e, len(data), err)
		}
		for _, n := range []int{0, len(data) - 1, len(data) + 1} {
			if decode(e, make([]byte, n), encoded) == nil {
				t.Errorf("%v of %d bytes is taken for %d", e, len(data), n)
			}
		}
	})
	if decode(Raw, make([]byte, 3), []byte("abc")) == nil || decode(Encodings, make([]byte, 3), []byte("abc")) == nil {
		t.Error("what is no encoding is decoded")
	}
}

// FuzzDecode: whatever came from wherever fills the place that there is for it, and no more, or is
// refused.
func FuzzDecode(f *testing.F) {
	text := bytes.Repeat([]byte("import numpy\n"), 300)
	noise := make([]byte, 2000)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for _, e := range []Encoding{S2, Zstd} {
		for _, data := range [][]byte{text, noise, {0}, make([]byte, 1<<17)} {
			encoded := encode(e, nil, data)
			f.Add(uint8(e), bytes.Clone(encoded), uint32(len(data)))
			f.Add(uint8(e), bytes.Clone(encoded), uint32(len(data)-1))
			f.Add(uint8(e), append(bytes.Clone(encoded), encoded...), uint32(2*len(data)))
			f.Add(uint8(e), bytes.Clone(encoded[:len(encoded)/2]), uint32(len(data)))
		}
	}
	f.Add(uint8(S2), []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, uint32(ChunkSize)) // 4 GiB, it says
	f.Add(uint8(Zstd), []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0}, uint32(100))
	f.Fuzz(func(t *testing.T, e uint8, encoded []byte, n uint32) {
		n %= ChunkSize + 1
		const fence = 0xa5
		place := bytes.Repeat([]byte{fence}, int(n)+64)
		err := decode(Encoding(e), place[:n], encoded)
		if !bytes.Equal(place[n:], bytes.Repeat([]byte{fence}, 64)) {
			t.Fatal("written beyond the place")
		}
		if err != nil {
			return
		}
		again := make([]byte, n)
		if decode(Encoding(e), again, encode(Encoding(e), nil, place[:n])) != nil || !bytes.Equal(again, place[:n]) {
			t.Error("what was decoded does not survive another round")
		}
	})
}

// TestShrink: chunks that shrink at random keep their content and never share a byte, the budget
// is kept throughout, and all of it comes back.
func TestShrink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := NewMemory(MinMemory)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		type held struct {
			*Chunk
			mark byte
		}
		var all []held
		sizes := rapid.OneOf(
			rapid.IntRange(0, ChunkSize),
			rapid.Map(rapid.IntRange(0, classes-1), func(class int) int { return minBlock << class }),
		)
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := sizes.Draw(t, "size")
			c, _ := m.take(n)
			if c == nil {
				break
			}
			h := held{c, byte(i)}
			for j := range c.data {
				c.data[j] = h.mark
			}
			if keep := sizes.Draw(t, "keep"); keep <= n {
				m.shrink(c, keep)
				if len(c.data) != keep {
					t.Fatalf("%d bytes kept, want %d", len(c.data), keep)
				}
			}
			all = append(all, h)
			if k := rapid.IntRange(0, 3*len(all)).Draw(t, "release"); k < len(all) {
				all[k].Release()
				all = append(all[:k], all[k+1:]...)
			}
		}
		for _, h := range all {
			if bytes.Count(h.data, []byte{h.mark}) != len(h.data) {
				t.Errorf("chunk %d of %d bytes has another content", h.mark, len(h.data))
			}
		}
		if u := m.Use(); u.Peak > u.Limit {
			t.Errorf("peak %d above the limit %d", u.Peak, u.Limit)
		}
		for _, h := range all {
			h.Release()
		}
		if u := m.Use(); u.Used != 0 || len(m.free) != MinMemory/spanSize {
			t.Errorf("%d bytes in use, %d spans free", u.Used, len(m.free))
		}
	})
}

// TestShrinkGivesBack: of a chunk that becomes a quarter, three quarters serve others.
func TestShrinkGivesBack(t *testing.T) {
	m, err := NewMemory(MinMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const n = 4 * (MinMemory/spanSize - 1)
	var all []*Chunk
	for i := range n {
		c, _ := m.take(ChunkSize)
		if c == nil {
			t.Fatalf("no room for chunk %d", i)
		}
		m.shrink(c, ChunkSize/4)
		all = append(all, c)
	}
	for _, c := range all {
		c.Release()
	}
}

// TestShrinkInShared: a block whose span others use as well moves when there is room, and stays where
// it is when there is none.
func TestShrinkInShared(t *testing.T) {
	m, err := NewMemory(MinMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	take := func(n int) *Chunk {
		c, err := m.Chunk(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := take(ChunkSize/2), take(ChunkSize/2)
	m.shrink(b, ChunkSize/8)
	if b.span == a.span {
		t.Error("it did not move")
	}
	c := take(ChunkSize / 2) // beside a
	if c.span != a.span {
		t.Error("its place did not come free")
	}
	all := []*Chunk{a, b, c}
	for m.Use().Used < MinMemory {
		all = append(all, take(ChunkSize))
	}
	m.shrink(c, 5000)
	if c.span != a.span || len(c.data) != 5000 {
		t.Error("it moved to where there was no room")
	}
	for _, c := range all {
		c.Release()
	}
	if u := m.Use(); u.Used != 0 {
		t.Errorf("%d bytes in use", u.Used)
	}
}

func TestEncodingNames(t *testing.T) {
	if got := fmt.Sprint(Raw, S2, Zstd, Encodings); got != "off s2 zstd encoding 3" {
		t.Error(got)
	}
}
