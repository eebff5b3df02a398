package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
)

// expandedChunks bounds the decoded chunks that an Expand keeps, and also the chunks that are being
// decoded at one time.
const expandedChunks = 16

// Expand is a [Source] in front of another, a [Store], which decodes chunks that are encoded. It
// belongs on the kernel's side: the kernel reads a chunk in many pieces, so the few that were
// decoded last are kept, within the Store's budget. Each of them goes with the encoded chunk that
// it was made of: when the Store gives that up, the other is freed as well.
type Expand struct {
	Source
	// OnDamaged, if set before the first question, is told the path of a file of which a chunk in
	// memory can't be decoded. What the Store knows of it should be forgotten; it is then asked
	// for once more.
	OnDamaged func(path string)

	mem     *Memory
	decoded atomic.Int64
	places  chan struct{} // one token for each chunk that is being decoded

	mu        sync.Mutex
	expanding map[*Chunk]*expanding // by the encoded chunk
	kept      []*Chunk              // encoded chunks that may have their decoded form, oldest first
	limit     int                   // of kept
}

// expanding is a chunk that is being decoded, for all who want it.
type expanding struct {
	done chan struct{} // closed when raw and err stand

	// Guarded by Expand.mu; raw and err don't change when done is closed.
	waiters int
	raw     *Chunk // with a reference for each waiter
	err     error
}

// NewExpand returns an Expand in front of src that decodes into mem.
func NewExpand(src Source, mem *Memory) *Expand {
	limit := int(min(expandedChunks, mem.limit/ChunkSize/16))
	return &Expand{
		Source: src, mem: mem, limit: limit,
		places:    make(chan struct{}, limit),
		expanding: map[*Chunk]*expanding{},
	}
}

// Decoded is the number of chunks decoded so far.
func (x *Expand) Decoded() int64 { return x.decoded.Load() }

// ReadChunk implements [Source]; the chunk is raw.
func (x *Expand) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	raw, err := x.read(ctx, file, index)
	if !errors.Is(err, errDamaged) {
		return raw, err
	}
	if x.OnDamaged != nil {
		x.OnDamaged(file.Path)
		raw, err = x.read(ctx, file, index)
	}
	if errors.Is(err, errDamaged) {
		err = &Error{Op: "read", Path: file.Path, Errno: syscall.EIO}
	}
	return raw, err
}

// read asks for the chunk until it has got its raw form: from memory, from whoever decodes it
// already, or by decoding it.
//
// To decode is to wait for memory while holding a chunk. Only as many as there are places may do
// that, of a sixteenth of the memory at most; who finds none, or waits for somebody else's
// decoding, holds nothing meanwhile and asks anew. So nearly all memory is with those who don't
// wait for any, and comes free; then so do the places.
func (x *Expand) read(ctx context.Context, file File, index int64) (*Chunk, error) {
	for {
		c, err := x.Source.ReadChunk(ctx, file, index)
		if err != nil || c.Encoding() == Raw {
			return c, err
		}
		raw, f, mine := x.join(c)
		switch {
		case raw != nil:
			c.Release()
			return raw, nil
		case mine:
			raw, err = x.decode(ctx, c)
			x.finish(c, f, raw, err)
			c.Release()
		default:
			c.Release()
			raw, err = x.wait(ctx, f)
		}
		switch {
		case err == nil || errors.Is(err, errDamaged) || mine && !errors.Is(err, errNoPlace):
			return raw, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errNoPlace):
			select {
			case x.places <- struct{}{}:
				<-x.places // not to be kept while asking
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// errNoPlace: too many chunks are being decoded.
var errNoPlace = errors.New("no place to decode a chunk")

// join returns the raw form of c with a reference, or the decoding of it that is under way; if
// that is the caller's own, it must finish it.
func (x *Expand) join(c *Chunk) (raw *Chunk, f *expanding, mine bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if raw := c.raw.Load(); raw != nil {
		raw.Retain()
		return raw, nil, false
	}
	if f := x.expanding[c]; f != nil {
		f.waiters++
		return nil, f, false
	}
	f = &expanding{done: make(chan struct{})}
	x.expanding[c] = f
	return nil, f, true
}

// wait returns what a decoding that the caller joined comes to.
func (x *Expand) wait(ctx context.Context, f *expanding) (*Chunk, error) {
	select {
	case <-f.done:
		return f.raw, f.err
	case <-ctx.Done():
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	f.waiters--
	if f.raw != nil { // it came while the caller was leaving
		f.raw.Release()
	}
	return nil, ctx.Err()
}

// finish hands a decoded chunk to those who wait and keeps it with c, of which the caller has a
// reference, in the place of the oldest one.
func (x *Expand) finish(c *Chunk, f *expanding, raw *Chunk, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.expanding, c)
	f.raw, f.err = raw, err
	if raw != nil {
		for range f.waiters + 1 {
			raw.Retain()
		}
		c.raw.Store(raw)
		if len(x.kept) >= x.limit {
			x.kept[0].dropRaw()
			x.kept = append(x.kept[:0], x.kept[1:]...)
		}
		x.kept = append(x.kept, c)
	}
	close(f.done)
}

// decode makes a raw chunk of c, if there is a place for that.
func (x *Expand) decode(ctx context.Context, c *Chunk) (*Chunk, error) {
	select {
	case x.places <- struct{}{}:
	default:
		return nil, errNoPlace
	}
	defer func() { <-x.places }()
	raw, err := x.mem.Chunk(ctx, c.Len())
	if err != nil {
		return nil, err
	}
	if decode(c.Encoding(), raw.Bytes(), c.Encoded()) != nil || !raw.SealAs(c.CRC()) {
		raw.Release()
		return nil, errDamaged
	}
	x.decoded.Add(1)
	return raw, nil
}
