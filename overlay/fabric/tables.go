package fabric

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// errEnding: the endpoint makes no more connections.
var errEnding = errors.New("the endpoint is closing")

// connect begins a connection to an address.
func (e *endpoint) connect(address []byte) (*conn, error) {
	p := e.use(address)
	if p == nil {
		return nil, errEnding
	}
	defer e.unuse(p)
	e.mu.Lock()
	if e.ending || len(e.conns) >= maxConns {
		defer e.mu.Unlock()
		if e.ending {
			return nil, errEnding
		}
		return nil, fmt.Errorf("%d connections: %w", maxConns, syscall.ENOBUFS)
	}
	c := e.add(p)
	c.dialled = true
	e.mu.Unlock()
	c.flush()
	return c, nil
}

// arrive takes or refuses a connection that a message asks for.
func (e *endpoint) arrive(h header) {
	p := e.use(h.addr)
	if p == nil {
		e.drop("a connection of one peer too many", nil)
		return
	}
	defer e.unuse(p)
	from := arrival{p.identity, h.from}
	e.mu.Lock()
	l := e.listener
	switch {
	case e.arrivals[from] != nil:
		e.mu.Unlock()
		e.drop("a connection that is there already", nil)
		return
	case h.seq != 0 || h.grant > maxWindow || e.ending || l == nil || len(e.conns) >= maxConns || len(l.arriving) == cap(l.arriving):
		e.mu.Unlock()
		e.answer(p, kindRefuse, h.from, refuser)
		return
	}
	c := e.add(p)
	c.from = from
	c.theirs, c.received, c.later = h.from, 1, int(h.grant)
	e.arrivals[from] = c
	e.mu.Unlock()
	c.flush()

	e.mu.Lock()
	gone := e.listener != l
	if !gone {
		l.arriving <- c // only this thread adds, so there is room
	}
	e.mu.Unlock()
	if gone {
		c.abort(syscall.ECONNREFUSED)
	}
}

// refuser is the number of a connection that there isn't.
const refuser = 1

// add makes a connection. Called with mu.
func (e *endpoint) add(p *peer) *conn {
	c := &conn{
		ep: e, peer: p, local: e.name, remote: Addr(format(e.at.scheme, p.address)),
		window: minWindow, owed: minWindow, say: sayOpen,
	}
	c.readable.cond.L, c.writable.cond.L = &c.mu, &c.mu
	for c.number <= refuser || e.conns[c.number] != nil {
		var random [8]byte
		_, _ = rand.Read(random[:]) // it ends the program rather than fail
		c.number = binary.LittleEndian.Uint64(random[:]) >> (64 - numberBits)
	}
	e.conns[c.number] = c
	p.users++
	p.conns[c] = struct{}{}
	return c
}

// remove forgets a connection. What comes for it from now on is answered by a reset.
func (e *endpoint) remove(c *conn) {
	e.mu.Lock()
	if c.removed {
		e.mu.Unlock()
		return
	}
	c.removed = true
	delete(e.conns, c.number)
	delete(c.peer.conns, c)
	if e.arrivals[c.from] == c {
		delete(e.arrivals, c.from)
	}
	e.windows -= c.extra
	e.release(c.peer)
	e.endIfUnused()
	e.mu.Unlock()

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// grow tells whether a connection's window may be so much larger.
func (e *endpoint) grow(c *conn, bytes int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.removed || e.windows+bytes > windows {
		return false
	}
	e.windows += bytes
	c.extra += bytes
	return true
}

// lose breaks all connections to a peer.
func (e *endpoint) lose(p *peer, err error) {
	e.mu.Lock()
	ending := e.shutting
	lost := make([]*conn, 0, len(p.conns))
	for c := range p.conns {
		lost = append(lost, c)
	}
	e.mu.Unlock()
	if ending {
		return
	}
	for _, c := range lost {
		c.fail(err)
	}
	p.drop(nil)
}

// use is the peer with an address, until unuse, or nil if there are too many.
func (e *endpoint) use(address []byte) *peer {
	id := identity(e.at.scheme, address)
	e.mu.Lock()
	p, evicted := e.peers[id], (*peer)(nil)
	if p == nil && e.peers != nil {
		room := true
		if len(e.peers)-len(e.conns) >= maxIdlePeers {
			evicted = e.oldestIdle()
			room = evicted != nil
		}
		if room {
			p = &peer{ep: e, identity: id, address: bytes.Clone(address), conns: make(map[*conn]struct{})}
			e.peers[id] = p
		}
	}
	if p != nil {
		p.users++
	}
	e.mu.Unlock()
	if evicted != nil {
		evicted.forget()
	}
	return p
}

// oldestIdle removes the peer that was not used for the longest time, or returns nil if all are. Called with mu.
func (e *endpoint) oldestIdle() *peer {
	var oldest *peer
	for _, p := range e.peers {
		if p.users == 0 && p.busy.Load() == 0 && (oldest == nil || p.idle.Before(oldest.idle)) {
			oldest = p
		}
	}
	if oldest != nil {
		delete(e.peers, oldest.identity)
	}
	return oldest
}

func (e *endpoint) unuse(p *peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.release(p)
}

// release is unuse with mu.
func (e *endpoint) release(p *peer) {
	if p.users--; p.users == 0 {
		p.idle = time.Now()
	}
}

// stray answers a message for a connection that is not there: it was of a process that had this address before,
// or is over.
func (e *endpoint) stray(tag uint64, h header) {
	if h.kind == kindReset || h.kind == kindRefuse || h.kind == kindClosed {
		return
	}
	if p := e.use(h.addr); p != nil {
		e.answer(p, kindReset, h.from, tag)
		e.unuse(p)
	}
}

// answer sends a message that is of no connection, if there is room.
func (e *endpoint) answer(p *peer, k kind, to, from uint64) {
	if packet := e.arena.control(p, nil); packet != nil {
		packet.tag, packet.length = to, fixedHeader+len(e.port.address)
		p.post(packet, header{kind: k, from: from})
	}
}

// owe remembers that a connection has something to say.
func (e *endpoint) owe(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !c.owing {
		c.owing = true
		e.owing = append(e.owing, c)
	}
}

func (e *endpoint) flushOwing() {
	e.mu.Lock()
	owing := e.owing
	e.owing = nil
	for _, c := range owing {
		c.owing = false
	}
	e.mu.Unlock()
	for _, c := range owing {
		c.flush()
	}
}

// stall remembers a peer for which the provider takes nothing at the moment.
func (e *endpoint) stall(p *peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stalled = append(e.stalled, p)
	e.wake()
}

// retry asks the provider again. It returns how many peers it still takes nothing for, and whether it took
// anything.
func (e *endpoint) retry() (left int, moved bool) {
	e.mu.Lock()
	stalled := e.stalled
	e.stalled = nil
	e.mu.Unlock()
	var still []*peer
	for _, p := range stalled {
		some, over, err := p.retry()
		if err != nil {
			e.lose(p, err)
		}
		if moved = moved || some; !over {
			still = append(still, p)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stalled = append(e.stalled, still...)
	return len(e.stalled), moved
}
