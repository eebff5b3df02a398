package overlay

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/copper-hpc/copper/store"
)

// writer joins the frames of many goroutines into few writes: whoever queues a frame and finds
// nobody writing writes all that is queued; the others leave theirs to it. So a lone frame goes
// out at once, and under load one system call carries many.
type writer struct {
	conn        net.Conn
	timeout     time.Duration // for one write
	compression *Compression  // told of what is written; nil if it doesn't want to be
	child       *child        // whose answers are written, which holds them until then; nil for an asker

	mu      sync.Mutex
	queue   batch // what the next write carries
	spare   []byte
	writing bool
	stopped sync.Cond // signalled when nobody writes and err is set
	err     error     // why nothing can be written any more
}

// batch is frames in their order: small ones back to back in bytes, with the large pieces that
// go between them uncopied.
type batch struct {
	bytes  []byte
	pieces []piece
	held   int64 // what the child holds for them
}

type piece struct {
	at    int // its place in batch.bytes
	data  []byte
	chunk *store.Chunk // whose data it is, released when it is written; nil for other data
}

const (
	// maxQueued bytes of small frames, or maxPieces large pieces, show that the peer has stopped
	// reading: the requests that may be in flight, and their replies, are less.
	maxQueued = 16 << 20
	maxPieces = 64
	// maxRefused bytes of small frames are queued where nobody waits for them to be written. A peer that
	// asks for more has stopped reading.
	maxRefused = 256 << 10
	// maxCopied is the largest piece that is copied between the frames, in bytes.
	maxCopied = 16 << 10
	// keptBuffer is the largest buffer that a writer keeps for its next batch, in bytes.
	keptBuffer = 64 << 10
)

// send queues a frame and sees to it that it is written, if need be by writing what is queued by
// now itself. The data of chunk, which may be nil, follows payload; the reference passes to the
// writer. The payload may go uncopied, so it must not change any more.
//
// A failure shows on the connection, which is then closed.
func (w *writer) send(h header, payload []byte, chunk *store.Chunk) { w.sendHeld(h, payload, chunk, 0) }

// sendHeld is send for an answer for which the child holds so much, until it is written or given up.
func (w *writer) sendHeld(h header, payload []byte, chunk *store.Chunk, held int64) {
	if !w.add(h, payload, chunk, held) {
		return
	}
	if w.writeQueue() {
		go w.drain() // what came meanwhile is not this caller's to wait for
	}
}

// post queues a frame and never waits for it to be written.
func (w *writer) post(h header) {
	if w.add(h, nil, nil, 0) {
		go w.drain()
	}
}

// signal posts a frame that is but a sign of life. What is queued already is as good.
func (w *writer) signal(h header) {
	w.mu.Lock()
	queued := len(w.queue.bytes) > 0
	w.mu.Unlock()
	if !queued {
		w.post(h)
	}
}

// refuse posts a reply that costs the peer nothing to provoke. It fails if the peer lets too many
// of them pile up.
func (w *writer) refuse(h header, payload []byte) error {
	w.mu.Lock()
	queued := len(w.queue.bytes)
	w.mu.Unlock()
	if queued > maxRefused {
		return errUnread
	}
	if w.add(h, payload, nil, 0) {
		go w.drain()
	}
	return nil
}

// errUnread: the peer asks and doesn't read the answers.
var errUnread = errors.New("the peer doesn't read")

// add tells whether the caller has become the one who writes.
func (w *writer) add(h header, payload []byte, chunk *store.Chunk, held int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && (len(w.queue.bytes) > maxQueued || len(w.queue.pieces) > maxPieces) {
		w.fail(errUnread)
	}
	if w.err != nil {
		w.give(held)
		if chunk != nil {
			chunk.Release()
		}
		return false
	}
	w.queue.add(h, payload, chunk)
	w.queue.held += held
	if w.writing {
		return false
	}
	w.writing = true
	return true
}

func (b *batch) add(h header, payload []byte, chunk *store.Chunk) {
	var data []byte
	if chunk != nil {
		data = chunk.Encoded()
	}
	h.length = len(payload) + len(data)
	b.bytes = h.append(b.bytes)
	if len(payload) > maxCopied {
		b.pieces = append(b.pieces, piece{len(b.bytes), payload, nil})
	} else {
		b.bytes = append(b.bytes, payload...)
	}
	switch {
	case len(data) > maxCopied:
		b.pieces = append(b.pieces, piece{len(b.bytes), data, chunk})
	case chunk != nil:
		b.bytes = append(b.bytes, data...)
		chunk.Release()
	}
}

func (w *writer) drain() {
	for w.writeQueue() {
	}
}

// writeQueue writes what is queued, as the one who writes, and tells whether more has come. If
// not, nobody writes from then on.
func (w *writer) writeQueue() bool {
	runtime.Gosched() // those who are about to queue more may do so first
	w.mu.Lock()
	b := w.queue
	w.queue = batch{bytes: w.spare[:0]}
	w.spare = nil
	w.mu.Unlock()

	err := w.write(b)
	b.release()
	w.give(b.held)

	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(b.bytes) <= keptBuffer {
		w.spare = b.bytes
	}
	if err != nil && w.err == nil {
		w.fail(err)
	}
	if w.err == nil && len(w.queue.bytes) > 0 {
		return true
	}
	w.writing = false
	w.stopped.Broadcast()
	return false
}

func (w *writer) write(b batch) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	if len(b.pieces) == 0 {
		_, err := w.conn.Write(b.bytes)
		return err
	}
	buffers := make(net.Buffers, 0, 2*len(b.pieces)+1)
	from := 0
	for _, p := range b.pieces {
		buffers = append(buffers, b.bytes[from:p.at], p.data)
		from = p.at
	}
	if from < len(b.bytes) {
		buffers = append(buffers, b.bytes[from:])
	}
	began := time.Now()
	n, err := buffers.WriteTo(w.conn)
	if w.compression != nil && err == nil {
		w.compression.sent(n, time.Since(began))
	}
	return err
}

// give gives back what the child holds for what is written or given up.
func (w *writer) give(held int64) {
	if held > 0 {
		w.child.give(held)
	}
}

func (b batch) release() {
	for _, p := range b.pieces {
		if p.chunk != nil {
			p.chunk.Release()
		}
	}
}

// fail ends the writing and closes the connection, so that its reader notices. Called with mu held.
func (w *writer) fail(err error) {
	w.err = fmt.Errorf("write: %w", err)
	w.queue.release()
	w.give(w.queue.held)
	w.queue = batch{}
	_ = w.conn.Close() // it is the write's error that matters
}

// close ends the writing, if it has not ended by a failure, and returns when nobody writes and all
// chunks are given back.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.fail(net.ErrClosed)
	}
	for w.writing {
		w.stopped.Wait()
	}
}

// busy tells whether somebody is writing.
func (w *writer) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writing
}

// failure is why the writing ended, or nil.
func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
