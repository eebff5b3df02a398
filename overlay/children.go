package overlay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
)

// What one peer may have of this node, over all of its connections. A daemon stays well below; one
// that doesn't hurts itself: it is cut off, told that the node is busy, or has its requests wait.
const (
	// maxLinks is the connections of one peer for one tree and channel: those that it uses, and those
	// of which it knows that they are dead, and this node not yet. The oldest makes room for a new one.
	maxLinks = 4
	// maxAsked is the requests of one peer that are being answered. Those beyond are refused as
	// busy, so that they go to somebody else.
	maxAsked = 2048
	// maxGathers is those of them that are control requests, whose bodies and answers are large.
	maxGathers = 16
	// fewestHeld is the least that a peer may have of queued answers, in bytes.
	fewestHeld = 8 << 20
)

var errCrowd = errors.New("there are as many connections as can be")

// children is the peers that ask this node.
type children struct {
	limit int   // connections
	held  int64 // bytes of queued answers for each peer

	mu    sync.Mutex // may be taken before a child's, not the other way round
	ranks map[int]*child
	links int
}

// newChildren bounds the bytes of each peer by an eighth of the node's budget, and the connections so that
// descriptors remain for all the rest.
func newChildren(budget int64) *children {
	return &children{
		limit: int(min(int64(descriptors())*3/4, math.MaxInt32)),
		held:  max(budget/8, fewestHeld),
		ranks: make(map[int]*child),
	}
}

// full tells whether no more connections can be taken.
func (cs *children) full() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.links >= cs.limit
}

// join adds a peer's connection.
func (cs *children) join(rank int, l *link) (*child, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.links >= cs.limit {
		return nil, errCrowd
	}
	cs.links++
	c := cs.ranks[rank]
	if c == nil {
		c = &child{limit: cs.held, links: make(map[way][]*link)}
		cs.ranks[rank] = c
	}
	w := way{l.tree, l.channel}
	c.links[w] = append(c.links[w], l)
	if same := c.links[w]; len(same) > maxLinks {
		_ = same[len(same)-maxLinks-1].conn.Close() // it leaves by itself
	}
	return c, nil
}

// part removes a peer's connection.
func (cs *children) part(rank int, l *link) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.links--
	c, w := cs.ranks[rank], way{l.tree, l.channel}
	for i, other := range c.links[w] {
		if other == l {
			c.links[w] = append(c.links[w][:i:i], c.links[w][i+1:]...)
			break
		}
	}
	if len(c.links[w]) == 0 {
		delete(c.links, w)
	}
	if len(c.links) == 0 {
		delete(cs.ranks, rank)
	}
}

// child is what a peer that asks has of this node, over all of its connections.
type child struct {
	limit int64           // of held
	links map[way][]*link // oldest first; guarded by children.mu

	mu      sync.Mutex
	asked   int           // requests being answered
	gathers int           // control requests among them
	bodies  int           // bytes of theirs
	held    int64         // bytes of answers on their way into the network
	fell    chan struct{} // closed when held has fallen to half of limit; nil while nobody waits
}

// enter counts a request in, if there may be one more. body is the length of a control request; one
// may be as long as the protocol allows, several together no longer.
func (c *child) enter(k kind, body int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.asked == maxAsked:
		return false
	case k != kindControl:
	case c.gathers == maxGathers, c.bodies > 0 && c.bodies+body > maxControl:
		return false
	default:
		c.gathers++
		c.bodies += body
	}
	c.asked++
	return true
}

// leave counts a request out.
func (c *child) leave(k kind, body int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked--
	if k == kindControl {
		c.gathers--
		c.bodies -= body
	}
}

// hold counts in n bytes that are about to be queued, if the peer doesn't hold too much already. It
// returns for how many they count, which is no more than half of what a peer may hold, so that
// whatever is legal can be sent.
func (c *child) hold(n int) (held int64, ok bool) {
	held = min(int64(n), c.limit/2)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held+held > c.limit {
		return 0, false
	}
	c.held += held
	return held, true
}

// give gives back what hold counted.
func (c *child) give(held int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held -= held; c.held <= c.limit/2 && c.fell != nil {
		close(c.fell)
		c.fell = nil
	}
}

// wait returns when the peer holds at most half of what it may, which is when the network has
// taken, or given up, some of its answers; see [Timing.Write]. Who waits must hold nothing of the
// node's memory.
func (c *child) wait(ctx context.Context) error {
	c.mu.Lock()
	if c.held <= c.limit/2 {
		c.mu.Unlock()
		return nil
	}
	if c.fell == nil {
		c.fell = make(chan struct{})
	}
	fell := c.fell
	c.mu.Unlock()
	select {
	case <-fell:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the peer to read: %w", ctx.Err())
	}
}
