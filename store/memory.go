package store

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	arena []byte // reserved address space of limit bytes; pages are touched as spans are used. See also [Hollow]

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
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	arena, err := mapAnonymous(int(limit / spanSize * spanSize))
	if err != nil {
		return nil, fmt.Errorf("reserve %d MiB of address space: %w", limit>>20, err)
	}
	return newMemory(limit, arena), nil
}

func checkLimit(limit int64) error {
	if limit < MinMemory {
		return fmt.Errorf("memory budget of %d bytes is below the minimum of %d MiB", limit, MinMemory>>20)
	}
	return nil
}

func mapAnonymous(length int) ([]byte, error) {
	arena, err := syscall.Mmap(-1, 0, length, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err == nil {
		// Two neighbouring spans then cost one page fault instead of 512. Where there are no huge
		// pages, all works as well.
		_ = syscall.Madvise(arena, unix.MADV_HUGEPAGE)
	}
	return arena, err
}

// newMemory makes a Memory of limit bytes whose spans lie in arena; beyond its end they begin at its
// front again.
func newMemory(limit int64, arena []byte) *Memory {
	spans := int(limit / spanSize)
	m := &Memory{limit: limit, arena: arena, reclaim: func() bool { return false }}
	m.free = make([]int, spans)
	for i := range m.free {
		m.free[i] = spans - 1 - i
	}
	m.cold = spans
	return m
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
	var timeout <-chan time.Time
	for {
		c, freed := m.take(n)
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

// classOf is the class of the smallest blocks that hold n bytes.
func classOf(n int) int {
	if n <= minBlock {
		return 0
	}
	return bits.Len(uint(n-1) / minBlock)
}

// take returns a chunk, or a channel that is closed when memory comes free.
func (m *Memory) take(n int) (*Chunk, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	class := classOf(n)
	s := m.partlyFree(class)
	if s == nil {
		s = m.cut(class)
	}
	if s == nil {
		if m.waiters == nil {
			m.waiters = make(chan struct{})
		}
		return nil, m.waiters
	}
	c := &Chunk{mem: m, span: s, block: m.pop(s)}
	c.data = m.at(s, c.block, n)
	c.refs.Store(1)
	return c, nil
}

// partlyFree is a span of that class with a free block, or nil.
func (m *Memory) partlyFree(class int) *span {
	if list := m.classes[class]; len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// cut makes a span of free blocks, or returns nil if the budget has none left.
func (m *Memory) cut(class int) *span {
	if len(m.free) == 0 || m.charged+m.held+spanSize > m.limit {
		return nil
	}
	s := &span{index: m.free[len(m.free)-1], slot: -1}
	m.free = m.free[:len(m.free)-1]
	m.cold = min(m.cold, len(m.free))
	m.held += spanSize
	m.peak = max(m.peak, m.charged+m.held)
	s.divide(class)
	m.list(s)
	return s
}

// divide makes all of s free blocks of that class.
func (s *span) divide(class int) {
	s.class, s.free = class, s.free[:0]
	for b := spanSize/(minBlock<<class) - 1; b >= 0; b-- {
		s.free = append(s.free, uint16(b))
	}
}

// pop takes a free block of a listed span.
func (m *Memory) pop(s *span) uint16 {
	block := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.used++
	if len(s.free) == 0 {
		m.unlist(s)
	}
	return block
}

// at is the first n bytes of a block.
func (m *Memory) at(s *span, block uint16, n int) []byte {
	off := (s.index*spanSize + int(block)*(minBlock<<s.class)) % len(m.arena)
	return m.arena[off : off+n : off+n]
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
