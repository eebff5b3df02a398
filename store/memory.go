package store

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// MinMemory is the smallest budget with which every size class can make progress, in bytes.
	MinMemory = 32 << 20

	minBlock    = 4 << 10   // bytes of the smallest block; one page
	spanSize    = ChunkSize // bytes that are taken from and given back to the budget at once
	classes     = 9         // 4 KiB, 8 KiB, … 1 MiB
	memoryBound = 5 * time.Second
)

// Memory is the one byte budget of a node: file data, which lives in it outside the Go heap, and
// the tables, which are charged to it. It never exceeds its limit: when it is full it asks its
// owner to evict, and when nothing can be evicted it waits for a chunk in use to be released.
//
// File data is kept in blocks of 2^k pages, cut from spans of 1 MiB; a span whose blocks are all
// free serves any size again. Eviction is roughly in order of age, as is the cutting of spans, so
// spans come free whole.
type Memory struct {
	limit int64
	arena []byte // reserved address space of limit bytes; pages are touched as spans are used

	mu      sync.Mutex
	free    []int            // indices of spans that no class holds, a stack
	cold    int              // INVARIANT: exactly the spans free[:cold] have no pages behind them
	classes [classes][]*span // spans of the class with at least one free block
	charged int64            // bytes of tables
	held    int64            // bytes of spans in use
	peak    int64            // highest charged+held
	waiters chan struct{}    // closed when memory comes free; nil while nobody waits

	// reclaim evicts something and tells whether it could. Called without mu.
	reclaim func() bool
}

type span struct {
	index int
	class int
	free  []uint16 // free blocks
	used  int
	slot  int // position in Memory.classes[class], -1 if not there
}

// NewMemory reserves address space for limit bytes; it fails for less than [MinMemory].
func NewMemory(limit int64) (*Memory, error) {
	if limit < MinMemory {
		return nil, fmt.Errorf("memory budget of %d bytes is below the minimum of %d MiB", limit, MinMemory>>20)
	}
	spans := int(limit / spanSize)
	arena, err := syscall.Mmap(-1, 0, spans*spanSize, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d MiB of address space: %w", limit>>20, err)
	}
	m := &Memory{limit: limit, arena: arena, reclaim: func() bool { return false }}
	m.free = make([]int, spans)
	for i := range m.free {
		m.free[i] = spans - 1 - i
	}
	m.cold = spans
	return m, nil
}

// Close gives the address space back. No chunk may be in use.
func (m *Memory) Close() error { return syscall.Munmap(m.arena) }

// MemoryUse is a reading of a [Memory], in bytes.
type MemoryUse struct {
	Limit  int64 `json:"limit"`
	Used   int64 `json:"used"`
	Peak   int64 `json:"peak"`
	Tables int64 `json:"tables"`
}

// Use reads the budget.
func (m *Memory) Use() MemoryUse {
	m.mu.Lock()
	defer m.mu.Unlock()
	return MemoryUse{Limit: m.limit, Used: m.charged + m.held, Peak: m.peak, Tables: m.charged}
}

// Chunk returns a chunk of n bytes, 0 ≤ n ≤ ChunkSize, of undefined content, with one reference.
// It evicts, then waits until something is released, and gives up with [ErrBusy] after 5 s: a
// caller that holds no other chunk can always ask again, so nodes that wait for each other's
// memory can't wait for ever.
func (m *Memory) Chunk(ctx context.Context, n int) (*Chunk, error) {
	if n < 0 || n > ChunkSize {
		return nil, fmt.Errorf("chunk of %d bytes: want 0 to %d", n, ChunkSize)
	}
	class := 0
	if n > minBlock {
		class = bits.Len(uint(n-1) / minBlock)
	}
	var timeout <-chan time.Time
	for {
		c, freed := m.take(class, n)
		if c != nil {
			return c, nil
		}
		if m.reclaim() {
			continue
		}
		if timeout == nil {
			timer := time.NewTimer(memoryBound)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-freed:
		case <-timeout:
			return nil, ErrBusy
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take cuts a block, or returns a channel that is closed when memory comes free.
func (m *Memory) take(class, n int) (*Chunk, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s *span
	if list := m.classes[class]; len(list) > 0 {
		s = list[len(list)-1]
	} else {
		if len(m.free) == 0 || m.charged+m.held+spanSize > m.limit {
			if m.waiters == nil {
				m.waiters = make(chan struct{})
			}
			return nil, m.waiters
		}
		s = &span{index: m.free[len(m.free)-1], class: class, slot: -1}
		m.free = m.free[:len(m.free)-1]
		m.cold = min(m.cold, len(m.free))
		for b := spanSize/(minBlock<<class) - 1; b >= 0; b-- {
			s.free = append(s.free, uint16(b))
		}
		m.held += spanSize
		m.peak = max(m.peak, m.charged+m.held)
		m.list(s)
	}
	block := int(s.free[len(s.free)-1])
	s.free = s.free[:len(s.free)-1]
	s.used++
	if len(s.free) == 0 {
		m.unlist(s)
	}
	off := s.index*spanSize + block*(minBlock<<class)
	c := &Chunk{data: m.arena[off : off+n : off+n], mem: m, span: s, block: uint16(block)}
	c.refs.Store(1)
	return c, nil
}

func (m *Memory) list(s *span) {
	s.slot = len(m.classes[s.class])
	m.classes[s.class] = append(m.classes[s.class], s)
}

func (m *Memory) unlist(s *span) {
	list := m.classes[s.class]
	last := list[len(list)-1]
	list[s.slot], last.slot = last, s.slot
	m.classes[s.class] = list[:len(list)-1]
	s.slot = -1
}

func (m *Memory) give(s *span, block uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.free = append(s.free, block)
	s.used--
	if s.slot < 0 {
		m.list(s)
	}
	if s.used == 0 {
		m.unlist(s)
		m.free = append(m.free, s.index)
		m.held -= spanSize
	}
	m.wake()
}

func (m *Memory) wake() {
	if m.waiters != nil {
		close(m.waiters)
		m.waiters = nil
	}
}

// charge takes n bytes for a table if they fit.
func (m *Memory) charge(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.charged+m.held+n > m.limit {
		return false
	}
	m.charged += n
	m.peak = max(m.peak, m.charged+m.held)
	for m.charged+m.resident() > m.limit && m.cold < len(m.free) {
		s := m.free[m.cold]
		// Failure leaves pages resident that the next use of the span will touch anyway.
		_ = syscall.Madvise(m.arena[s*spanSize:(s+1)*spanSize], syscall.MADV_DONTNEED)
		m.cold++
	}
	return true
}

// resident is the number of bytes of the arena that have pages behind them.
func (m *Memory) resident() int64 { return int64(len(m.arena)) - int64(m.cold)*spanSize }

func (m *Memory) uncharge(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.charged -= n
	m.wake()
}

// Chunk is a piece of file data outside the Go heap, shared by reference count.
type Chunk struct {
	data  []byte
	crc   uint32
	refs  atomic.Int32
	mem   *Memory
	span  *span
	block uint16
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Bytes is the chunk's data: writable by whoever filled it until [Chunk.Seal], read-only after,
// and valid until the reference is released.
func (c *Chunk) Bytes() []byte { return c.data }

// Seal ends the filling of a chunk by the one who read it from the PFS: its checksum is taken.
func (c *Chunk) Seal() { c.crc = crc32.Checksum(c.data, castagnoli) }

// SealAs ends the filling of a chunk that came with a checksum, and tells whether it agrees.
func (c *Chunk) SealAs(crc uint32) bool {
	c.crc = crc
	return c.Intact()
}

// CRC is the chunk's CRC-32C (Castagnoli), as taken where it was read from the PFS.
func (c *Chunk) CRC() uint32 { return c.crc }

// Intact tells whether the data still has the checksum that it was sealed with.
func (c *Chunk) Intact() bool { return crc32.Checksum(c.data, castagnoli) == c.crc }

// Retain adds a reference; the caller must hold one.
func (c *Chunk) Retain() { c.refs.Add(1) }

// Release gives one reference back; the last one frees the memory.
func (c *Chunk) Release() {
	switch n := c.refs.Add(-1); {
	case n == 0:
		c.mem.give(c.span, c.block)
	case n < 0:
		panic("store: chunk released more often than retained")
	}
}
