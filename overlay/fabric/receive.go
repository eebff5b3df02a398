package fabric

import "syscall"

// abort breaks the connection at both ends.
func (c *conn) abort(err error) {
	c.mu.Lock()
	theirs := c.theirs
	tell := c.err == nil && theirs != 0
	c.mu.Unlock()
	c.fail(err)
	if tell {
		c.ep.answer(c.peer, kindReset, theirs, c.number)
	}
}

// fail breaks the connection at this end.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.wakeAll()
	c.mu.Unlock()
	c.peer.drop(c)
	c.ep.remove(c)
}

// receive takes a message for this connection, and returns what is wrong with it. A short message may be there before
// a long one that was sent earlier: libfabric keeps the order in which they begin to come, not that in which they have
// come. So the later one waits.
func (c *conn) receive(h header, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return nil
	case c.theirs != 0 && h.from != c.theirs || !c.peer.has(h.addr):
		return errForeign
	case h.kind == kindRefuse && c.theirs == 0:
		c.broken(syscall.ECONNREFUSED)
		return nil
	case h.kind == kindReset:
		c.broken(syscall.ECONNRESET)
		return nil
	case h.seq != c.received:
		return c.early.add(h, data, h.seq-c.received, c.allowed)
	}
	err := c.next(h, data)
	for len(c.early.messages) > 0 && err == nil {
		m, ok := c.early.take(c.received)
		if !ok {
			break
		}
		err = c.next(m.header, m.data)
	}
	return err
}

// next takes the message whose turn it is. Called with mu.
func (c *conn) next(h header, data []byte) error {
	switch {
	case c.ended && c.closed:
		return nil // it was being written when the peer heard of the end
	case (h.kind == kindAccept) != (c.theirs == 0) || c.theirs != 0 && h.from != c.theirs || c.ended:
		return errForeign
	case h.kind == kindConnect || h.kind == kindRefuse:
		return errForeign
	case len(data) > c.allowed || h.grant > maxWindow || c.credit+int(h.grant) > maxWindow:
		return errGreedy
	}
	c.received++
	c.credit += int(h.grant)
	switch h.kind {
	case kindAccept:
		c.theirs = h.from
		c.readable.cond.Broadcast()
	case kindData:
		c.allowed -= len(data)
		if !c.closed { // or nobody reads it
			c.in.add(data)
			c.readable.cond.Broadcast()
		}
	case kindClose:
		c.ended = true
		c.say |= sayClosed
		c.wakeAll()
	case kindClosed:
		c.ended = true
		c.wakeAll()
	}
	if h.grant > 0 {
		c.writable.cond.Broadcast()
	}
	return nil
}

// broken is the peer's word that there is no connection. Called with mu.
func (c *conn) broken(err error) {
	c.err = err
	c.wakeAll()
}

// follow does what a message that came calls for.
func (c *conn) follow() {
	c.mu.Lock()
	err, say := c.err, c.closed || c.say&sayClosed != 0
	c.mu.Unlock()
	if err != nil {
		c.fail(err)
	} else if say {
		c.flush()
	}
}

// over tells whether nothing more comes or is to be said.
func (c *conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil || c.closed && c.ended && c.say&sayClosed == 0
}
