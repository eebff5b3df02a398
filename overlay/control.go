package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// controlTree carries the control requests.
	controlTree = 0
	// gatherBound is how long Gather waits if its context sets no deadline.
	gatherBound = time.Minute
)

// lateAnswer is why a node is missing of which nothing was heard in time.
const lateAnswer = "no answer in time"

// errMute: nobody has called Handle.
var errMute = errors.New("it doesn't answer control requests yet")

// Handler answers a control request on one node. It must return when ctx is done. It may be
// called twice for one request, when a connection breaks on the way; one of its answers counts.
type Handler func(ctx context.Context, req []byte) ([]byte, error)

// Sum joins the answers of several nodes to one control request. It is used by one goroutine at a time.
type Sum interface {
	// Add joins an answer, or what Bytes of another Sum returned: the two have the same form. If it fails,
	// the sum stays as it was. It keeps nothing of body.
	Add(body []byte) error
	Bytes() ([]byte, error)
}

// Gathered is what the nodes of a job say to a control request.
type Gathered struct {
	// Body is the sum of the answers; nil if there are none.
	Body []byte
	// Missing are all the nodes whose answers are not in Body.
	Missing []Missing
}

// Missing is a node without an answer.
type Missing struct {
	Rank int
	Err  string // why; "" for those beyond the first [MaxReasons]
}

// answering is how this node answers control requests.
type answering struct {
	handle Handler
	sum    func(req []byte) Sum
}

// Handle sets what answers control requests on this node, and what makes an empty sum of the answers to one.
func (o *Overlay) Handle(h Handler, sum func(req []byte) Sum) { o.answering.Store(&answering{h, sum}) }

// Gather puts a control request to every node of the job, this one included, and returns the sum of their
// answers, in which each node counts once at most. The request goes down a tree from its root. The answers
// come up it, and each node sends the sum of its own and of those below it: so no node receives more than
// one sum from each of its children. The subtree of a node that doesn't answer is asked without it, and that of
// one that has failed before at once.
//
// It ends with ctx, or after a minute if ctx has no deadline. Each level of the tree keeps some of
// the time for itself, so that a node which is slow to answer costs its own answer and no other. The
// error is for a request that can't be put to anybody.
func (o *Overlay) Gather(ctx context.Context, req []byte) (Gathered, error) {
	if len(req) > maxControl {
		return Gathered{}, fmt.Errorf("a control request of %d bytes, where %d are the limit", len(req), maxControl)
	}
	if o.answering.Load() == nil {
		return Gathered{}, errMute
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, gatherBound)
		defer cancel()
	}
	o.gathering.begin()
	defer o.gathering.end()
	all := o.collect(ctx, 0, req)
	slices.SortFunc(all.Missing, func(a, b Missing) int { return cmp.Compare(a.Rank, b.Rank) })
	return all, nil
}

// branch is a part of the tree: the positions from lo up to hi, which answer together.
type branch struct {
	lo, hi int
	gather func() Gathered
}

// collect gathers the answers of the node at a position and of all below it.
func (o *Overlay) collect(ctx context.Context, position int, req []byte) Gathered {
	below := o.branches(ctx, position, req)
	rank := o.forest.Rank(controlTree, position)
	if rank == o.self {
		return o.together(ctx, req, append(below, branch{position, position + 1, func() Gathered {
			return o.own(ctx, req)
		}}))
	}
	if o.peer(rank).suspect.Load() {
		// Those below it must not wait until it turns out that it is dead: whoever asks may end soon, as a request
		// may be to end.
		return o.together(ctx, req, append(below, branch{position, position + 1, func() Gathered {
			return o.alone(ctx, rank, req)
		}}))
	}
	sum, err := o.collectFrom(ctx, rank, req, false)
	if err != nil {
		sum = o.together(ctx, req, below)
		sum.Missing = join(sum.Missing, []Missing{{rank, err.Error()}})
	}
	return sum
}

// branches are the subtrees of the nodes right below a position.
func (o *Overlay) branches(ctx context.Context, position int, req []byte) []branch {
	var below []branch
	for _, child := range o.forest.children(position) {
		below = append(below, branch{child, o.forest.end(child), func() Gathered { return o.collect(ctx, child, req) }})
	}
	return below
}

// together gathers the branches side by side and returns the sum of what has come when ctx is done.
func (o *Overlay) together(ctx context.Context, req []byte, branches []branch) Gathered {
	type part struct {
		from int
		Gathered
	}
	if len(branches) == 0 {
		return Gathered{}
	}
	parts := make(chan part, len(branches)) // nobody waits to send, not even when nobody receives
	for i, b := range branches {
		if !o.start(func() { parts <- part{i, b.gather()} }) {
			return o.none(branches, errClosed)
		}
	}
	sum, added := o.answering.Load().sum(req), false
	var all Gathered
	heard := make([]bool, len(branches))
waiting:
	for range branches {
		select {
		case p := <-parts:
			heard[p.from] = true
			all.Missing = join(all.Missing, p.Missing)
			if p.Body == nil {
				continue
			}
			if err := sum.Add(p.Body); err != nil {
				all.Missing = join(all.Missing, o.rest(branches[p.from], p.Missing, err.Error()))
				continue
			}
			added = true
		case <-ctx.Done():
			break waiting
		}
	}
	for i, b := range branches {
		if !heard[i] {
			all.Missing = join(all.Missing, o.rest(b, nil, lateAnswer))
		}
	}
	if !added {
		return all
	}
	body, err := sum.Bytes()
	if err != nil {
		return o.none(branches, err)
	}
	all.Body = body
	return all
}

// none is that nobody of the branches has answered.
func (o *Overlay) none(branches []branch, why error) Gathered {
	var all Gathered
	for _, b := range branches {
		all.Missing = join(all.Missing, o.rest(b, nil, why.Error()))
	}
	return all
}

// own is this node's own answer.
func (o *Overlay) own(ctx context.Context, req []byte) Gathered {
	body, err := o.answering.Load().handle(ctx, req)
	if err != nil {
		return Gathered{Missing: []Missing{{o.self, cmp.Or(err.Error(), "failed")}}}
	}
	return Gathered{Body: append([]byte{}, body...)} // never nil
}

// alone is what another node says without those below it.
func (o *Overlay) alone(ctx context.Context, rank int, req []byte) Gathered {
	answer, err := o.collectFrom(ctx, rank, req, true)
	if err != nil {
		return Gathered{Missing: []Missing{{rank, err.Error()}}}
	}
	return answer
}

// collectFrom asks another node for the sum of its subtree, or for its own answer alone.
func (o *Overlay) collectFrom(ctx context.Context, rank int, req []byte, alone bool) (Gathered, error) {
	end, _ := ctx.Deadline()
	left := time.Until(end)
	q := request{kind: kindControl, patience: left - left/8, alone: alone, body: req}
	p := o.peer(rank)
	r, err := p.ask(ctx, controlTree, q, nil) // a suspect too: it may be wrongly suspected
	if err != nil {
		return Gathered{}, err
	}
	if err := r.problem(q); err != nil {
		return Gathered{}, p.failure(q, err)
	}
	sum, err := o.decodeGathered(r.payload, rank, alone)
	if err != nil {
		return Gathered{}, p.failure(q, err)
	}
	return sum, nil
}

// collectFor answers the node above, in the time that it allows.
func (o *Overlay) collectFor(ctx context.Context, q request) ([]byte, error) {
	if o.answering.Load() == nil {
		return nil, errMute
	}
	bounded, cancel := context.WithTimeout(ctx, q.patience)
	defer cancel()
	if q.alone {
		return encodeGathered(o.own(bounded, q.body)), nil
	}
	return encodeGathered(o.collect(bounded, o.forest.Position(controlTree, o.self), q.body)), nil
}
