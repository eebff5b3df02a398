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
	// frame is how long a frame may take to come once it has begun.
	frame time.Duration

	// of the reader alone
	begun    bool      // a frame has begun to come
	end      time.Time // when it must have come, if that was found out
	deadline time.Time // that is set
}

const (
	readBuffer = 16 << 10 // larger reads go past it, straight to their place
	firstRead  = 1 << 20  // bytes; memory for a longer payload is taken as it comes
)

// newLink takes a connection over after its handshake, in which the dialler said h.
func newLink(conn net.Conn, h hello, session uint64, writeTimeout, silence time.Duration) *link {
	l := &link{
		conn: conn, tree: h.tree, channel: h.channel, session: session, silence: silence,
		// Its sender has writeTimeout for all of what it writes at once; the network may hold some of that.
		frame: 2 * writeTimeout,
		out:   writer{conn: conn, timeout: writeTimeout},
	}
	l.out.stopped.L = &l.out.mu
	l.in = bufio.NewReaderSize(arrivals{l}, readBuffer)
	return l
}

// arrivals reads the connection and counts.
type arrivals struct{ *link }

func (a arrivals) Read(p []byte) (int, error) {
	if err := a.limit(time.Now()); err != nil {
		return 0, err
	}
	n, err := a.conn.Read(p)
	a.received.Add(int64(n))
	return n, err
}

// limit sets the deadline for what comes next.
func (l *link) limit(now time.Time) error {
	switch {
	case !l.begun:
	case l.end.IsZero():
		l.end = now.Add(l.frame)
	case !now.Before(l.end):
		return fmt.Errorf("a frame has not come whole in %v", l.frame)
	}
	deadline := l.end
	if l.silence > 0 && (!l.begun || now.Add(l.silence).Before(l.end)) {
		deadline = now.Add(l.silence)
	}
	if deadline.Equal(l.deadline) {
		return nil
	}
	l.deadline = deadline
	return l.conn.SetReadDeadline(deadline)
}

func (l *link) header(k kind, flags uint8, s status, id uint64) header {
	return header{kind: k, flags: flags, status: s, id: id, session: l.session}
}

// next reads a frame's header.
func (l *link) next() (header, error) {
	l.begun, l.end = false, time.Time{}
	if _, err := l.in.Peek(1); err != nil {
		return header{}, err
	}
	l.begun = true // by far most have come whole, and then nobody looks at the clock
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
