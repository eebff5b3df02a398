package overlay

import (
	"context"
	"crypto/rand"
	"net"
	"syscall"
	"time"
)

// Delay makes each message to and from the host take that much longer from now on.
func (h *VirtualHost) Delay(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.delay = d
}

// Cut takes the host off the network, without a word to anybody: what is sent to it and by it from now
// on arrives when it is healed.
func (h *VirtualHost) Cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.takeOff()
}

// Stop does as a signal does that stops the host's process: connections to it are still made, by its
// kernel, and nothing comes of them until it is healed.
func (h *VirtualHost) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.takeOff()
	h.stopped = true
}

// takeOff is called with mu held.
func (h *VirtualHost) takeOff() {
	if h.cut == nil {
		h.cut = make(chan struct{})
	}
}

// Heal undoes Cut and Stop.
func (h *VirtualHost) Heal() {
	h.mu.Lock()
	if h.cut != nil {
		close(h.cut)
	}
	h.cut, h.stopped = nil, false
	h.resume() // gives mu up
}

// resume puts on its way what was held, unless there is another reason to hold it. Called with mu, which
// it gives up.
func (h *VirtualHost) resume() {
	held := h.held
	h.held = map[*stream]struct{}{}
	h.mu.Unlock()
	for s := range held {
		s.resume()
	}
}

// Part cuts two hosts off from each other, and from nobody else.
func (h *VirtualHost) Part(other *VirtualHost) {
	parted := make(chan struct{})
	for _, pair := range [][2]*VirtualHost{{h, other}, {other, h}} {
		pair[0].mu.Lock()
		pair[0].parted[pair[1]] = parted
		pair[0].mu.Unlock()
	}
}

// Join undoes Part.
func (h *VirtualHost) Join(other *VirtualHost) {
	h.mu.Lock()
	parted := h.parted[other]
	delete(h.parted, other)
	h.mu.Unlock()
	other.mu.Lock()
	delete(other.parted, h)
	other.resume() // gives mu up
	h.mu.Lock()
	h.resume() // gives mu up
	if parted != nil {
		close(parted)
	}
}

// Kill ends the host as a crash of its process does: its connections break, and it takes no
// others until it is revived.
func (h *VirtualHost) Kill() { h.end(false) }

// Garbage kills the host, and something else takes its place that accepts connections and talks nonsense.
func (h *VirtualHost) Garbage() { h.end(true) }

func (h *VirtualHost) end(garbage bool) {
	h.mu.Lock()
	h.dead, h.garbage = true, garbage
	conns := h.conns
	h.conns = map[*virtualConn]struct{}{}
	h.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
}

// Revive undoes Kill and Garbage: a new process may listen and dial.
func (h *VirtualHost) Revive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead, h.garbage = false, false
}

// reachable returns when a connection can be made from one host, which may be nil as the other, to the other.
func reachable(ctx context.Context, from, to *VirtualHost) error {
	for {
		wait, err := from.obstacle(to, false)
		if wait == nil && err == nil {
			wait, err = to.obstacle(from, true)
		}
		if wait == nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// obstacle is what keeps the host from a connection with another, which it accepts or makes: a channel that
// is closed when it ends, or an error.
func (h *VirtualHost) obstacle(other *VirtualHost, accepts bool) (<-chan struct{}, error) {
	if h == nil {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch parted := h.parted[other]; {
	case h.dead && (!h.garbage || !accepts):
		return nil, syscall.ECONNREFUSED
	case parted != nil:
		return parted, nil
	case h.cut != nil && (!h.stopped || !accepts):
		return h.cut, nil
	}
	return nil, nil
}

// alien tells whether something else has taken the host's place.
func (h *VirtualHost) alien() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.garbage
}

// meetAlien is a connection to what talks nonsense, and then hangs up.
func (v *Virtual) meetAlien(from *VirtualHost, endpoint string) (net.Conn, error) {
	near, far := v.pair(endpointAddr(schemeVirtual+"://dialler"), endpointAddr(endpoint), from, nil)
	nonsense := make([]byte, 1<<10)
	_, _ = rand.Read(nonsense)
	if _, err := far.Write(nonsense); err != nil {
		return nil, err
	}
	return near, far.Close()
}
