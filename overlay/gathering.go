package overlay

import (
	"context"
	"sync"
)

// gathering counts the control requests under way at this node.
type gathering struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // closed when count falls to 0; set while it isn't
}

func (g *gathering) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count++; g.count == 1 {
		g.none = make(chan struct{})
	}
}

func (g *gathering) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count--; g.count == 0 {
		close(g.none)
	}
}

// Drain waits until this node has passed on all answers to control requests that it knows of, or
// ctx is done. A node that ends because a control request says so drains first, then closes: else
// the answers of the nodes below it would be lost.
func (o *Overlay) Drain(ctx context.Context) error {
	o.gathering.mu.Lock()
	count, none := o.gathering.count, o.gathering.none
	o.gathering.mu.Unlock()
	if count == 0 {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
