package overlay

import (
	"context"
	"fmt"
	"sync"

	"github.com/copper-hpc/copper/store"
)

// answerer is the parent's end of a link: it puts what the child asks to a Source and sends back
// what that says, in whatever order it comes.
type answerer struct {
	*link
	overlay *Overlay
	src     store.Source
	child   *child

	mu      sync.Mutex
	asked   map[uint64]context.CancelFunc // the requests being answered, by their ids
	running sync.WaitGroup
}

func newAnswerer(l *link, o *Overlay, src store.Source, c *child) *answerer {
	l.out.child = c
	return &answerer{
		link: l, overlay: o, src: src, child: c,
		asked: make(map[uint64]context.CancelFunc),
	}
}

// run reads requests until the link breaks or ctx is done, then leaves what is being answered and
// returns why.
func (a *answerer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = a.conn.Close() })
	defer a.running.Wait()
	defer a.out.close()
	defer stop()
	defer cancel()
	for {
		if err := a.receive(ctx); err != nil {
			return a.cause(err)
		}
	}
}

// receive reads one frame and starts what it asks for.
func (a *answerer) receive(ctx context.Context) error {
	h, err := a.next()
	if err != nil {
		return err
	}
	switch {
	case h.flags != 0:
		return fmt.Errorf("a %s reply from a child", h.kind)
	case h.kind == kindPing && h.length == 0:
		a.out.signal(a.header(kindPing, flagReply, statusOK, h.id))
		return nil
	case h.kind == kindCancel && h.length == 0:
		a.cancel(h.id)
		return nil
	case !h.kind.asks(a.channel), h.length > kinds[h.kind].request:
		return fmt.Errorf("a %s request of %d bytes on the %s channel", h.kind, h.length, a.channel)
	case !a.child.enter(h.kind, h.length):
		if _, err := a.in.Discard(h.length); err != nil {
			return err
		}
		return a.refuse(h, reply{status: statusBusy})
	}
	started, err := a.begin(ctx, h)
	if !started {
		a.child.leave(h.kind, h.length)
	}
	return err
}

// begin starts to answer a request that the child may put.
func (a *answerer) begin(ctx context.Context, h header) (started bool, err error) {
	payload, err := a.payload(h, kinds[h.kind].request)
	if err != nil {
		return false, err
	}
	q, err := decodeRequest(h.kind, payload)
	if err == nil && a.overlay.treeOf(q) != a.tree {
		err = fmt.Errorf("%q is not of tree %d", q.path, a.tree)
	}
	if err != nil {
		return false, a.refuse(h, reply{status: statusMalformed, payload: text(err)})
	}
	asked, cancel := context.WithCancel(ctx)
	if err := a.enter(h.id, cancel); err != nil {
		cancel()
		return false, err
	}
	if q.kind == kindControl {
		a.overlay.gathering.begin()
	}
	a.running.Go(func() {
		r, held := a.answer(asked, ctx, q)
		a.leave(h.id)
		a.child.leave(h.kind, h.length)
		a.send(h, r, held)
		if q.kind == kindControl {
			a.overlay.gathering.end()
		}
	})
	return true, nil
}

// enter counts a request in. A child keeps to the limit itself, see [inFlight], and never has two
// requests of one id.
func (a *answerer) enter(id uint64, cancel context.CancelFunc) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit := inFlight[a.channel]; len(a.asked) == limit {
		return fmt.Errorf("more than %d requests at a time", limit)
	}
	if _, taken := a.asked[id]; taken {
		return fmt.Errorf("two requests of id %d", id)
	}
	a.asked[id] = cancel
	return nil
}

// cancel makes the request of that id end soon, if it is being answered.
func (a *answerer) cancel(id uint64) {
	a.mu.Lock()
	cancel := a.asked[id]
	a.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// leave counts a request out. That comes before its reply is sent: after it the child may send
// the next one.
func (a *answerer) leave(id uint64) {
	a.mu.Lock()
	cancel := a.asked[id]
	delete(a.asked, id)
	a.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// send sends the reply to a request, for which the child holds so much.
func (a *answerer) send(to header, r reply, held int64) {
	h := a.header(to.kind, flagReply, r.status, to.id)
	if r.data == nil {
		a.out.sendHeld(h, r.payload, nil, held)
		return
	}
	a.out.sendHeld(h, r.form.append(make([]byte, 0, chunkHeader)), r.data, held)
}

// refuse replies to a request without answering it.
func (a *answerer) refuse(to header, r reply) error {
	return a.out.refuse(a.header(to.kind, flagReply, r.status, to.id), r.payload)
}
