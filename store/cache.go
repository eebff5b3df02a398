package store

import "hash/maphash"

// table tells the kinds of entries apart.
type table uint8

const (
	attrs    table = iota // path → Attr, or *Error where it is absent, or stale
	links                 // path → string
	listings              // path → *Listing
	unlisted              // path → time.Time until which the directory is not listed for absence
	chunks                // path, version, index → *Chunk
	tables
)

// key names an entry; version and index only for chunks, so that the chunks of two versions of a
// file are never taken for each other.
type key struct {
	table   table
	path    string
	version Version
	index   int64
}

// entry is one cached value with its place in a queue.
type entry struct {
	key        key
	value      any
	size       int64 // bytes charged, without the data of a chunk
	weight     int64 // bytes that the entry stands for, data included
	freq       uint8 // hits since it was queued, at most 3
	main       bool
	prev, next *entry
}

// queue is a FIFO of entries with its weight.
type queue struct {
	head, tail *entry
	weight     int64
}

func (q *queue) push(e *entry) {
	e.prev, e.next = nil, q.head
	if q.head != nil {
		q.head.prev = e
	} else {
		q.tail = e
	}
	q.head = e
	q.weight += e.weight
}

func (q *queue) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.tail = e.prev
	}
	e.prev, e.next = nil, nil
	q.weight -= e.weight
}

// cache decides what stays: S3-FIFO by bytes (Yang et al., SOSP 2023). New entries pass through a
// small queue, a tenth of the whole; those asked for again there move to the main queue, so a
// large file read once can't push out what everybody uses. Keys that left the small queue are
// remembered as ghosts and go straight to the main queue when they come back.
//
// cache has no lock of its own: the Store's guards it.
type cache struct {
	entries     map[key]*entry
	small, main queue
	ghosts      map[uint64]struct{} // hashes of keys
	ghostOrder  []uint64            // oldest first
	seed        maphash.Seed
	use         [tables]Use
}

// Use is the size of one kind of table.
type Use struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

func newCache() cache {
	return cache{entries: map[key]*entry{}, ghosts: map[uint64]struct{}{}, seed: maphash.MakeSeed()}
}

func (c *cache) get(k key) (any, bool) {
	e, ok := c.entries[k]
	if !ok {
		return nil, false
	}
	e.freq = min(e.freq+1, 3)
	return e.value, true
}

// add takes an entry whose key is not there yet.
func (c *cache) add(e *entry) {
	h := maphash.Comparable(c.seed, e.key)
	if _, ok := c.ghosts[h]; ok {
		delete(c.ghosts, h)
		e.main = true
		c.main.push(e)
	} else {
		c.small.push(e)
	}
	c.entries[e.key] = e
	c.use[e.key.table].Entries++
	c.use[e.key.table].Bytes += e.weight
}

func (c *cache) remove(e *entry) {
	if e.main {
		c.main.remove(e)
	} else {
		c.small.remove(e)
	}
	delete(c.entries, e.key)
	c.use[e.key.table].Entries--
	c.use[e.key.table].Bytes -= e.weight
}

// evict removes the entry that is worth least and returns it; nil when the cache is empty.
func (c *cache) evict() *entry {
	for {
		fromSmall := c.main.tail == nil || c.small.weight > (c.small.weight+c.main.weight)/10
		if fromSmall && c.small.tail != nil {
			e := c.small.tail
			if e.freq > 1 {
				c.small.remove(e)
				e.main, e.freq = true, 0
				c.main.push(e)
				continue
			}
			c.remove(e)
			c.haunt(e.key)
			return e
		}
		e := c.main.tail
		if e == nil {
			return nil
		}
		if e.freq == 0 {
			c.remove(e)
			return e
		}
		c.main.remove(e)
		e.freq--
		c.main.push(e)
	}
}

// haunt remembers a key that left; there are never more ghosts than entries (and a few).
func (c *cache) haunt(k key) {
	h := maphash.Comparable(c.seed, k)
	c.ghosts[h] = struct{}{}
	c.ghostOrder = append(c.ghostOrder, h)
	for len(c.ghostOrder) > len(c.entries)+64 {
		delete(c.ghosts, c.ghostOrder[0])
		c.ghostOrder = c.ghostOrder[1:]
	}
}
