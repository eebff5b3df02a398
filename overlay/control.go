package overlay

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

const (
	// controlTree carries the control requests.
	controlTree = 0
	// maxAnswers is how many answers of each node may come together. A node may be asked twice when
	// another fails.
	maxAnswers = 4
	// gatherBound is how long Gather waits if its context sets no deadline.
	gatherBound = time.Minute
)

// Handler answers a control request on one node. It must return when ctx is done. It may be
// called twice for one request, when a connection breaks on the way or a node above is suspected wrongly.
type Handler func(ctx context.Context, req []byte) ([]byte, error)

// Answer is what one node says to a control request.
type Answer struct {
	Rank int    `json:"rank"`
	Body []byte `json:"body,omitempty"`
	Err  string `json:"error,omitempty"` // why there is no Body; empty if there is
}

// Handle sets what answers control requests on this node.
func (o *Overlay) Handle(h Handler) { o.handler.Store(&h) }

// Gather puts a control request to every node of the job, this one included, and returns their
// answers by rank: one for each, of which those with an Err say why it is missing. The request goes
// down a tree from its root, and the answers come up it; the subtree of a node that doesn't answer
// is asked without it, and that of one that has failed before at once.
//
// It ends with ctx, or after a minute if ctx has no deadline. Each level of the tree keeps some of
// the time for itself, so that a node which is slow to answer costs its own answer and no other. The
// error is for a request that can't be put to anybody.
func (o *Overlay) Gather(ctx context.Context, req []byte) ([]Answer, error) {
	if len(req) > maxControl {
		return nil, fmt.Errorf("a control request of %d bytes, where %d are the limit", len(req), maxControl)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, gatherBound)
		defer cancel()
	}
	o.gathering.begin()
	defer o.gathering.end()
	answers := make([]Answer, len(o.nodes))
	for rank := range answers {
		answers[rank] = Answer{Rank: rank, Err: "no answer in time"}
	}
	for _, a := range o.collect(ctx, o.forest.Rank(controlTree, 0), req) {
		if answers[a.Rank].Err != "" { // else it has been asked twice, and has answered
			answers[a.Rank] = a
		}
	}
	return answers, nil
}

// collect gathers the answers of a node and of all below it.
func (o *Overlay) collect(ctx context.Context, rank int, req []byte) []Answer {
	below := o.forest.Children(controlTree, rank)
	if rank == o.self {
		return o.together(ctx, append(o.collectors(ctx, below, req), func() []Answer {
			return []Answer{o.handle(ctx, req)}
		}))
	}
	if o.peer(rank).suspect.Load() {
		// Those below it must not wait until it turns out that it is dead: whoever asks may end soon, as a request
		// may be to end.
		around := append(o.collectors(ctx, below, req), func() []Answer {
			answers, err := o.collectFrom(ctx, rank, req)
			if err != nil {
				answers = []Answer{{Rank: rank, Err: err.Error()}}
			}
			return answers
		})
		return distinct(o.together(ctx, around))
	}
	answers, err := o.collectFrom(ctx, rank, req)
	if err != nil {
		without := o.together(ctx, o.collectors(ctx, below, req))
		return append(without, Answer{Rank: rank, Err: err.Error()})
	}
	return answers
}

// distinct leaves one answer of each node, with a body if it has given one.
func distinct(answers []Answer) []Answer {
	at := make(map[int]int, len(answers))
	kept := answers[:0]
	for _, a := range answers {
		i, again := at[a.Rank]
		switch {
		case !again:
			at[a.Rank] = len(kept)
			kept = append(kept, a)
		case kept[i].Err != "":
			kept[i] = a
		}
	}
	return kept
}

func (o *Overlay) collectors(ctx context.Context, ranks []int, req []byte) []func() []Answer {
	var each []func() []Answer
	for _, rank := range ranks {
		each = append(each, func() []Answer { return o.collect(ctx, rank, req) })
	}
	return each
}

// together runs the collectors side by side and returns what has come when ctx is done.
func (o *Overlay) together(ctx context.Context, each []func() []Answer) []Answer {
	parts := make(chan []Answer, len(each)) // nobody waits to send, not even when nobody receives
	for _, collect := range each {
		if !o.start(func() { parts <- collect() }) {
			return nil
		}
	}
	var answers []Answer
	for range each {
		select {
		case part := <-parts:
			answers = append(answers, part...)
		case <-ctx.Done():
			return answers
		}
	}
	return answers
}

// handle is this node's own answer.
func (o *Overlay) handle(ctx context.Context, req []byte) Answer {
	answer := Answer{Rank: o.self}
	h := o.handler.Load()
	if h == nil {
		answer.Err = "it doesn't answer control requests yet"
		return answer
	}
	body, err := (*h)(ctx, req)
	if err != nil {
		answer.Err = cmp.Or(err.Error(), "failed")
		return answer
	}
	answer.Body = body
	return answer
}

// collectFrom asks another node for the answers of its subtree.
func (o *Overlay) collectFrom(ctx context.Context, rank int, req []byte) ([]Answer, error) {
	end, _ := ctx.Deadline()
	left := time.Until(end)
	q := request{kind: kindControl, patience: left - left/8, body: req}
	p := o.peer(rank)
	r, err := p.ask(ctx, controlTree, q, nil) // a suspect too: it may be wrongly suspected
	if err != nil {
		return nil, err
	}
	if err := r.problem(q); err != nil {
		return nil, p.failure(q, err)
	}
	answers, err := decodeAnswers(r.payload, len(o.nodes))
	if err != nil {
		return nil, p.failure(q, err)
	}
	return answers, nil
}

// collectFor answers the node above, in the time that it allows.
func (o *Overlay) collectFor(ctx context.Context, q request) []byte {
	bounded, cancel := context.WithTimeout(ctx, q.patience)
	defer cancel()
	return encodeAnswers(o.collect(bounded, o.self, q.body))
}

// Answers travel as {rank u32, 1 if it is an error u8, length u32, body or error} each.

func encodeAnswers(answers []Answer) []byte {
	size := 0
	for _, a := range answers {
		size += 9 + len(a.Body) + len(a.Err)
	}
	b := make([]byte, 0, size)
	for _, a := range answers {
		b = binary.LittleEndian.AppendUint32(b, uint32(a.Rank))
		b = append(b, bit(a.Err != ""))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(a.Body)+len(a.Err)))
		b = append(append(b, a.Body...), a.Err...)
	}
	return b
}

func decodeAnswers(payload []byte, nodes int) ([]Answer, error) {
	var answers []Answer
	d := decoder{rest: payload}
	for len(d.rest) > 0 {
		a := Answer{Rank: int(d.u32())}
		failed := d.u8() != 0
		text := d.take(int(d.u32()))
		if d.broken || a.Rank >= nodes || len(answers) >= maxAnswers*nodes {
			return nil, errMalformed
		}
		if failed {
			a.Err = string(text)
		} else {
			a.Body = slices.Clone(text)
		}
		answers = append(answers, a)
	}
	return answers, nil
}
