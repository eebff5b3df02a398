package fabric

// says are the messages that an end is to send apart from data.
type says uint8

const (
	sayOpen   says = 1 << iota // connect, or accept
	sayCredit                  // only if nothing else carries it
	sayClosed
	sayClose
)

// flush sends what there is to say.
func (c *conn) flush() {
	for c.flushOne() {
	}
	if c.over() {
		c.ep.remove(c)
	}
}

func (c *conn) flushOne() bool {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	h := header{from: c.number}
	var said says
	switch {
	case c.err != nil:
	case c.say&sayOpen != 0:
		h.kind, said = kindAccept, sayOpen
		if c.dialled {
			h.kind = kindConnect
		}
	case c.say&sayClosed != 0:
		h.kind, said = kindClosed, sayClosed
	case c.ended:
	case c.say&sayClose != 0:
		h.kind, said = kindClose, sayClose
	case c.say&sayCredit != 0 && !c.closed:
		h.kind, said = kindCredit, sayCredit
	}
	if said == 0 {
		c.say = 0
		c.mu.Unlock()
		return false
	}
	k := c.ep.arena.control(c.peer, c)
	if k == nil {
		c.ep.owe(c)
		c.mu.Unlock()
		return false
	}
	c.say &^= said
	h.grant = c.grant()
	k.tag, k.length = c.theirs, fixedHeader+len(c.ep.port.address)
	c.mu.Unlock()
	c.peer.post(k, h)
	if said == sayOpen && !c.dialled {
		c.mu.Lock()
		c.credit += c.later
		c.mu.Unlock()
	}
	return true
}
