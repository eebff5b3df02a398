package oracle

import (
	"encoding/binary"
	"hash/fnv"
)

// Content is what one version of one file holds, at any length: bytes that follow from the path, the
// version and the offset alone, so that any part of a file can be judged without keeping a copy.
type Content struct{ seed uint64 }

// ContentOf is the content of a version of a path.
func ContentOf(path string, version int) Content {
	h := fnv.New64a()
	h.Write([]byte(path))
	return Content{mix(h.Sum64() + uint64(version))}
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Fill writes what belongs at offset off of the file into p.
func (c Content) Fill(p []byte, off int64) {
	var word [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(word[:], mix(c.seed+uint64(off/8)*0x9e3779b97f4a7c15))
		n := copy(p, word[off%8:])
		p, off = p[n:], off+int64(n)
	}
}

// Bytes are the first n bytes.
func (c Content) Bytes(n int64) []byte {
	p := make([]byte, n)
	c.Fill(p, 0)
	return p
}

// Differs is the index of the first byte of p that does not belong at offset off plus that index; -1
// if all do.
func (c Content) Differs(p []byte, off int64) int {
	var want [4096]byte
	for done := 0; done < len(p); {
		part := p[done:min(done+len(want), len(p))]
		c.Fill(want[:len(part)], off+int64(done))
		for i := range part {
			if part[i] != want[i] {
				return done + i
			}
		}
		done += len(part)
	}
	return -1
}
