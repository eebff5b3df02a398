package fabric

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	receivePlaces = 128
	smallPackets  = 256
	largePackets  = 128
	// reserved small packets are kept for what connections say about themselves.
	reserved = smallPackets / 4
	// maxAnswers is how many may be under way that are of no connection, to whatever addresses.
	maxAnswers = smallPackets / 8
	// share of the packets that are left is what one peer may have under way. So those that take nothing,
	// however many, leave something for the others.
	share = 8
)

// arena is the memory of an endpoint's messages, for as long as the endpoint lives: libfabric may have it
// registered with the device. It is not of Go's heap, whose pages come and go unseen by it.
//
// Its first places receive; the others are packets to send.
type arena struct {
	memory  []byte
	offsets []uint64 // of the places
	packets []*packet
	receive []uint32 // the receiving places

	mu      sync.Mutex
	free    [sizes][]*packet
	answers int     // packets of no connection
	waiting []*conn // for a packet, whose peers have none
	changed sync.Cond
}

// packet is a place to send from, with the message that is there.
type packet struct {
	place  uint32
	size   size
	memory []byte

	// of the one who has taken it
	peer   *peer
	conn   *conn // or nil
	tag    uint64
	length int
	flying bool // the provider has it; protected by the peer's lock
}

type size int

const (
	small size = iota
	large
	sizes
)

func newArena(can limits) (*arena, error) {
	a := &arena{}
	a.changed.L = &a.mu
	total := uint64(0)
	place := func(bytes int) uint32 {
		a.offsets = append(a.offsets, total)
		total += uint64(bytes+63) &^ 63
		return uint32(len(a.offsets) - 1)
	}
	for range min(receivePlaces, max(can.receives, 1)) {
		a.receive = append(a.receive, place(messageSize))
	}
	for range smallPackets {
		a.packets = append(a.packets, &packet{place: place(smallPlaces), size: small})
	}
	for range largePackets {
		a.packets = append(a.packets, &packet{place: place(messageSize), size: large})
	}
	var err error
	if a.memory, err = unix.Mmap(-1, 0, int(total), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return nil, fmt.Errorf("%d bytes for messages: %w", total, os.NewSyscallError("mmap", err))
	}
	for _, p := range a.packets {
		bytes := messageSize
		if p.size == small {
			bytes = smallPlaces
		}
		from := a.offsets[p.place]
		p.memory = a.memory[from : from+uint64(bytes) : from+uint64(bytes)]
		a.free[p.size] = append(a.free[p.size], p)
	}
	return a, nil
}

// received is the message at a receiving place.
func (a *arena) received(e event) []byte {
	from := a.offsets[e.place]
	return a.memory[from : from+uint64(min(e.length, messageSize))]
}

// packet is the one of a place, or nil for a place that receives.
func (a *arena) packet(place uint32) *packet {
	if i := int(place) - len(a.receive); i >= 0 && i < len(a.packets) {
		return a.packets[i]
	}
	return nil
}

// take takes a packet for some data of a connection. If there is none for it now it returns nil, and the
// connection is woken when there may be.
func (a *arena) take(c *conn, bytes int) *packet {
	want, kept := small, reserved
	if bytes > smallData {
		want, kept = large, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, left := c.peer, len(a.free[want])-kept
	if left > 0 && p.held[want] < max(1, left/share) {
		return a.takeFor(p, c, want)
	}
	if !c.waiting {
		c.waiting = true
		if p.held[want] > 0 {
			p.waiting = append(p.waiting, c)
		} else {
			a.waiting = append(a.waiting, c)
		}
	}
	return nil
}

// control takes a small packet for what is not data; c may be nil for what concerns no connection. It may return nil.
func (a *arena) control(p *peer, c *conn) *packet {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.free[small]) == 0 || c == nil && a.answers == maxAnswers {
		return nil
	}
	if c == nil {
		a.answers++
	}
	return a.takeFor(p, c, small)
}

func (a *arena) takeFor(p *peer, c *conn, s size) *packet {
	last := len(a.free[s]) - 1
	taken := a.free[s][last]
	a.free[s] = a.free[s][:last]
	p.held[s]++
	taken.peer, taken.conn = p, c
	return taken
}

// give gives a packet back.
func (a *arena) give(p *packet) {
	a.mu.Lock()
	from := p.peer
	from.held[p.size]--
	if p.conn == nil {
		a.answers--
	}
	p.peer, p.conn = nil, nil
	a.free[p.size] = append(a.free[p.size], p)
	wake := append(from.waiting, a.waiting...)
	from.waiting, a.waiting = nil, nil
	for _, c := range wake {
		c.waiting = false
	}
	a.changed.Broadcast()
	a.mu.Unlock()
	for _, c := range wake {
		c.wake()
	}
}

// close gives the memory back when nobody has any of it: those who are about to send find out first that they
// can't.
func (a *arena) close() {
	a.mu.Lock()
	for len(a.free[small])+len(a.free[large]) < len(a.packets) {
		a.changed.Wait()
	}
	a.mu.Unlock()
	_ = unix.Munmap(a.memory) // it can't fail
}
