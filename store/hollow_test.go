package store

import (
	"testing"
	"unsafe"
)

func TestHollowMemoryIsABudget(t *testing.T) {
	h, err := NewHollow()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Memory(MinMemory - 1); err == nil {
		t.Error("a budget below the minimum is accepted")
	}
	m, err := h.Memory(MinMemory)
	if err != nil {
		t.Fatal(err)
	}
	begin := uintptr(unsafe.Pointer(&h.Bytes()[0]))
	var all []*Chunk
	for i := range 2 * MinMemory / ChunkSize { // of 512 KiB each
		c, err := m.Chunk(t.Context(), ChunkSize/2)
		if err != nil {
			t.Fatalf("chunk %d: %v", i, err)
		}
		at := uintptr(unsafe.Pointer(&c.Bytes()[0]))
		if at < begin || at+uintptr(len(c.Bytes())) > begin+uintptr(len(h.Bytes())) {
			t.Fatalf("chunk %d lies elsewhere", i)
		}
		all = append(all, c)
	}
	if c, _ := m.take(1); c != nil {
		t.Error("a full budget gives a chunk")
	}
	if use := m.Use(); use.Used != MinMemory {
		t.Errorf("%d bytes are used, want %d", use.Used, MinMemory)
	}
	for _, c := range all {
		c.Release()
	}
	if use := m.Use(); use.Used != 0 {
		t.Errorf("%d bytes are used after all were released", use.Used)
	}
}
