package overlay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// link is an authenticated connection that carries the frames of one tree and channel. An [asker]
// holds the child's end of it, an [answerer] the parent's.
type link struct {
	conn    net.Conn
	tree    int
	channel channel
	session uint64
	in      *bufio.Reader
	out     writer
	// received counts the bytes that came, of whatever frame: they are what shows that the other
	// end is alive.
	received atomic.Int64
	// silence is for how long nothing may come before a read fails; 0 for ever.
	silence time.Duration
}

const (
	readBuffer = 16 << 10 // larger reads go past it, straight to their place
	firstRead  = 1 << 20  // bytes; memory for a longer payload is taken as it comes
)

// newLink takes a connection over after its handshake, in which the dialler said h.
func newLink(conn net.Conn, h hello, session uint64, writeTimeout, silence time.Duration) *link {
	l := &link{
		conn: conn, tree: h.tree, channel: h.channel, session: session, silence: silence,
		out: writer{conn: conn, timeout: writeTimeout},
	}
	l.out.stopped.L = &l.out.mu
	l.in = bufio.NewReaderSize(arrivals{l}, readBuffer)
	return l
}

// arrivals reads the connection and counts.
type arrivals struct{ *link }

func (a arrivals) Read(p []byte) (int, error) {
	if a.silence > 0 {
		if err := a.conn.SetReadDeadline(time.Now().Add(a.silence)); err != nil {
			return 0, err
		}
	}
	n, err := a.conn.Read(p)
	a.received.Add(int64(n))
	return n, err
}

func (l *link) header(k kind, flags uint8, s status, id uint64) header {
	return header{kind: k, flags: flags, status: s, id: id, session: l.session}
}

// next reads a frame's header.
func (l *link) next() (header, error) {
	b, err := l.in.Peek(headerSize)
	if err != nil {
		return header{}, err
	}
	h := decodeHeader(b)
	_, _ = l.in.Discard(headerSize) // peeked at, so it is there
	if h.session != l.session {
		return h, errors.New("a frame of another session")
	}
	return h, nil
}

// payload reads the payload of a frame, of at most limit bytes.
func (l *link) payload(h header, limit int) ([]byte, error) {
	if h.length > limit {
		return nil, fmt.Errorf("a %s frame of %d bytes, where %d are the limit", h.kind, h.length, limit)
	}
	var b []byte
	for len(b) < h.length {
		// Memory is only taken for what has come, whatever length the header claims.
		n := min(h.length-len(b), max(firstRead, len(b)))
		from := len(b)
		b = slices.Grow(b, n)[:from+n]
		if _, err := io.ReadFull(l.in, b[from:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// cause is why the link broke, given what its reader saw of it: if the writer broke it first,
// that is the reason.
func (l *link) cause(err error) error {
	if failed := l.out.failure(); failed != nil {
		return failed
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the peer closed the connection")
	}
	return err
}
