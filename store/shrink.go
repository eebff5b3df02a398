package store

// shrink keeps the first n bytes of a chunk that nobody else has, in a smaller block if it can get
// one there and then. It never waits and never fails: who holds a chunk must not wait for another.
func (m *Memory) shrink(c *Chunk, n int) {
	kept := c.data[:n:n]
	if s, block := m.smaller(c, classOf(n)); s != nil {
		to := m.at(s, block, n)
		copy(to, kept)
		m.give(c.span, c.block)
		c.span, c.block, kept = s, block, to
	}
	c.data = kept
}

// smaller returns a block of that class for the chunk to move to, or nil where it stays. A block
// whose span has no other user is made smaller where it is, and the rest of the span comes free.
func (m *Memory) smaller(c *Chunk, class int) (*span, uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := c.span
	if class >= from.class {
		return nil, 0
	}
	s := m.partlyFree(class)
	switch {
	case s != nil:
	case from.used > 1:
		if s = m.cut(class); s == nil {
			return nil, 0
		}
	default:
		if from.slot >= 0 {
			m.unlist(from)
		}
		c.block <<= from.class - class
		from.divide(class)
		i := len(from.free) - 1 - int(c.block)
		from.free = append(from.free[:i], from.free[i+1:]...)
		m.list(from)
		m.wake()
		return nil, 0
	}
	return s, m.pop(s)
}
