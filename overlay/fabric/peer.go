package fabric

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// giveUp is for how long a peer may take nothing. Providers over TCP go on trying to connect to an address where
// nobody is.
const giveUp = 15 * time.Second

var errUntaken = fmt.Errorf("nothing was taken for %v: %w", giveUp, syscall.ETIMEDOUT)

// peer is an endpoint elsewhere, with what is on its way there, in its order.
type peer struct {
	ep       *endpoint
	identity string
	address  []byte // as libfabric has it

	// busy counts the messages that are queued or under way.
	busy atomic.Int64

	// mu protects what follows and makes the order in which messages are numbered that in which they are sent.
	// endpoint.mu may be taken under it.
	mu      sync.Mutex
	handle  uint64 // libfabric's name for it
	known   bool   // that it has one
	queue   []*packet
	stalled bool      // the provider takes nothing for it at the moment: run tries again
	moved   time.Time // when it last took something
	closed  bool      // the port is closing

	// protected by the arena's
	held    [sizes]int
	waiting []*conn

	// protected by the endpoint's
	users int // those who are about to send, and the connections
	conns map[*conn]struct{}
	idle  time.Time // when the last of the users went
}

// has tells whether an address is the peer's.
func (p *peer) has(address []byte) bool {
	return bytes.Equal(address, p.address) || identity(p.ep.at.scheme, address) == p.identity
}

// post numbers a message and sends it, after those that are queued. The packet, in which the data is already,
// passes to the provider. It must not be called with a connection's lock.
func (p *peer) post(k *packet, h header) {
	if err := p.enqueue(k, h); err != nil {
		p.ep.lose(p, err)
	}
}

func (p *peer) enqueue(k *packet, h header) error {
	p.mu.Lock()
	if p.closed || k.conn != nil && k.conn.dropped {
		p.mu.Unlock()
		p.ep.arena.give(k)
		return nil
	}
	defer p.mu.Unlock()
	h.addr = p.ep.port.address
	if c := k.conn; c != nil {
		h.seq = c.sent
		c.sent++
	}
	h.append(k.memory[:0])
	p.busy.Add(1)
	p.queue = append(p.queue, k)
	if p.stalled {
		return nil
	}
	return p.send()
}

// send gives the provider what it takes. Called with mu.
func (p *peer) send() error {
	if len(p.queue) > 0 && !p.known {
		handle, err := p.ep.port.insert(p.address)
		if err != nil {
			return err
		}
		p.handle, p.known = handle, true
	}
	for len(p.queue) > 0 {
		k := p.queue[0]
		k.flying = true // it may have arrived before send returns
		taken, err := p.ep.port.send(k.place, k.length, p.handle, k.tag)
		if !taken {
			k.flying = false
			if err == nil && !p.stalled {
				p.stalled, p.moved = true, time.Now()
				p.ep.stall(p)
			}
			return err
		}
		p.queue[0] = nil
		if p.queue = p.queue[1:]; len(p.queue) == 0 {
			p.queue = nil
		}
	}
	return nil
}

// landed gives a packet back that the provider is done with.
func (p *peer) landed(k *packet) {
	p.mu.Lock()
	k.flying = false
	p.mu.Unlock()
	p.busy.Add(-1)
	p.ep.arena.give(k)
}

// retry tells whether the provider took something again, and whether that is all there is.
func (p *peer) retry() (moved, over bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.queue)
	if !p.closed {
		err = p.send()
	}
	if moved = len(p.queue) < before; moved {
		p.moved = time.Now()
	} else if err == nil && time.Since(p.moved) > giveUp {
		err = errUntaken
	}
	over = err != nil || p.closed || len(p.queue) == 0
	p.stalled = !over
	return moved, over, err
}

// drop takes out of the queue what a connection that is broken has there, or all of it.
func (p *peer) drop(c *conn) {
	p.mu.Lock()
	if c != nil {
		c.dropped = true
	}
	var gone []*packet
	kept := p.queue[:0]
	for _, k := range p.queue {
		if c == nil || k.conn == c {
			gone = append(gone, k)
		} else {
			kept = append(kept, k)
		}
	}
	clear(p.queue[len(kept):])
	p.queue = kept
	p.mu.Unlock()
	for _, k := range gone {
		p.busy.Add(-1)
		p.ep.arena.give(k)
	}
}

// close ends the sending for good. What is under way is not waited for.
func (p *peer) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop(nil)
}

// forget is close for a peer to whom nothing is under way. (Others are not taken from the provider, though they may be
// gone: those over TCP connect anew to whoever has the address by then, and CXI has no connections.)
func (p *peer) forget() {
	p.close()
	if p.known {
		p.ep.port.remove(p.handle)
	}
}
