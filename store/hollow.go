package store

// Hollow is memory in which all chunks lie in the same place and are all zero. A simulation gives its
// nodes budgets of it: each behaves as any [Memory] does, and a thousand of them are 1 MiB.
type Hollow struct{ bytes []byte }

// NewHollow makes a Hollow. It lies outside the Go heap, as file data does, and is never given back.
func NewHollow() (*Hollow, error) {
	bytes, err := mapAnonymous(spanSize)
	return &Hollow{bytes}, err
}

// Bytes is where all chunks lie. Nothing but zeros may be written there.
func (h *Hollow) Bytes() []byte { return h.bytes }

// Memory makes a budget of limit bytes, at least [MinMemory], whose chunks are hollow. It must not be closed.
func (h *Hollow) Memory(limit int64) (*Memory, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return newMemory(limit, h.bytes), nil
}
