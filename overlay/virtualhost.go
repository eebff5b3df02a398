package overlay

import (
	"context"
	"net"
	"sync"
	"time"
)

// Wire is what connections between the hosts of a [Virtual] network are like. The zero Wire takes no
// time.
type Wire struct {
	// Latency is the time of any message on its way.
	Latency time.Duration `json:"latency_ns"`
	// Bandwidth is the bytes per second that a host can send, and as many it can receive; 0: no limit.
	Bandwidth float64 `json:"bandwidth"`
	// Handling is the work that a message is to the host that receives it, which has one message at
	// a time in hand. A message is what one Write carries.
	Handling time.Duration `json:"handling_ns"`
	// Hollow is memory whose bytes are all zero and stay so. Data that is written from it is not
	// copied, only counted: so thousands of nodes can send each other gigabytes in one process.
	Hollow []byte `json:"-"`
}

// passing is the largest message, in bytes, that does not wait its turn behind larger ones: a network
// shares a link among connections, so that a small one isn't held up by a chunk. It takes its
// share of the bandwidth all the same.
const passing = 16 << 10

// NewVirtualNetwork makes an empty network of that wire.
func NewVirtualNetwork(w Wire) *Virtual {
	v := NewVirtual()
	v.wire = w
	return v
}

// Lane is something that does one thing after the other: a link's direction, a processor, a
// server. Times are nanoseconds since some moment.
type Lane struct {
	Free int64 // when what it was given is done
}

// Take gives the lane work of so many nanoseconds, and returns when that is done if it is given at now.
func (l *Lane) Take(now, work int64) (done int64) {
	l.Free = max(l.Free, now) + work
	return l.Free
}

// Deliver is when a message of n bytes that is sent at now has been received and handled, in
// nanoseconds. It takes its time of the sender's link, of the receiver's link and of the receiver
// itself; a message begins to arrive while it is still being sent. extra is added to the latency.
func (w *Wire) Deliver(out, in, work *Lane, now int64, n int, extra time.Duration) int64 {
	latency := int64(w.Latency + extra)
	at := now + latency
	if w.Bandwidth > 0 {
		took := int64(float64(n) * 1e9 / w.Bandwidth)
		sent := out.Take(now, took)
		received := in.Take(max(sent-took, now)+latency, took)
		if at += took; n > passing {
			at = received
		}
	}
	if w.Handling > 0 {
		at = work.Take(at, int64(w.Handling))
	}
	return at
}

// VirtualHost is one host in a [Virtual] network, as a [Transport]. What it sends and receives takes
// time, and it can be made to fail.
type VirtualHost struct {
	network *Virtual
	number  int // in the order in which hosts were added

	mu             sync.Mutex // after all other locks of the network; of two hosts that of the smaller number first
	out, in, work  Lane
	sent, received int64
	delay          time.Duration
	cut            chan struct{}                  // closed when the host is reachable again; nil while it is
	parted         map[*VirtualHost]chan struct{} // the same for single others
	stopped        bool                           // cut, and takes connections
	held           map[*stream]struct{}
	dead           bool
	garbage        bool // dead, and something else has its place
	conns          map[*virtualConn]struct{}
}

// Host adds a host to the network.
func (v *Virtual) Host() *VirtualHost {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hosts++
	return &VirtualHost{network: v, number: v.hosts, held: map[*stream]struct{}{}, conns: map[*virtualConn]struct{}{}, parted: map[*VirtualHost]chan struct{}{}}
}

// Listen listens at an endpoint that nobody listens at yet.
func (h *VirtualHost) Listen(endpoint string) (net.Listener, error) {
	return h.network.listen(endpoint, h)
}

// Dial connects to an endpoint at which somebody listens. It takes one message there and one back.
func (h *VirtualHost) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	return h.network.dial(ctx, endpoint, h)
}

// Sent is the number of bytes that the host has sent.
func (h *VirtualHost) Sent() int64 { h.mu.Lock(); defer h.mu.Unlock(); return h.sent }

// Received is the number of bytes that were sent to the host.
func (h *VirtualHost) Received() int64 { h.mu.Lock(); defer h.mu.Unlock(); return h.received }

func (h *VirtualHost) extra() time.Duration {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.delay
}

// enter notes a connection, which is closed at once if the host is dead.
func (h *VirtualHost) enter(c *virtualConn) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		go func() { _ = c.Close() }() // it wants the host's lock
		return
	}
	h.conns[c] = struct{}{}
}

func (h *VirtualHost) leave(c *virtualConn) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

// send takes a message of n bytes from a host to another for s, and returns after what time it is there. It is
// held while one of them is cut, or they are from each other, which remembers s for when it is healed.
func (w *Wire) send(from, to *VirtualHost, s *stream, now int64, n int) (after time.Duration, held bool) {
	first, second := from, to
	if second.number < first.number {
		first, second = second, first
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if second != first {
		second.mu.Lock()
		defer second.mu.Unlock()
	}
	for _, host := range []*VirtualHost{from, to} {
		if host.cut != nil || from.parted[to] != nil {
			host.held[s] = struct{}{}
			held = true
		}
	}
	if held {
		return 0, true
	}
	from.sent += int64(n)
	to.received += int64(n)
	at := w.Deliver(&from.out, &to.in, &to.work, now, n, from.delay+to.delay)
	return time.Duration(at - now), false
}
