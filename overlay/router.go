package overlay

import (
	"context"
	"errors"
	"iter"
	"slices"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// maxStandIns bounds how many nodes are tried in the place of a dead root before this node reads
// the PFS itself. Those that fail are suspects from then on, so the next request tries others. It is
// also how many nodes of a tree may take the place of a root that is alive but slow.
const maxStandIns = 3

var _ store.Source = (*Overlay)(nil)

// Stat answers lstat(path); see [store.Source].
func (o *Overlay) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	return ask(ctx, o, statRequest(path, stale), reply.attr, func(ctx context.Context) (store.Attr, error) {
		return o.origin.Stat(ctx, path, stale)
	})
}

// List answers with the names in a directory; see [store.Source].
func (o *Overlay) List(ctx context.Context, dir string, known *store.Listing) (*store.Listing, error) {
	q := listRequest(dir, known)
	decode := func(r reply) (*store.Listing, error) {
		if q.version == (store.Version{}) {
			return r.listing(nil) // nothing was said to be known
		}
		return r.listing(known)
	}
	return ask(ctx, o, q, decode, func(ctx context.Context) (*store.Listing, error) {
		return o.origin.List(ctx, dir, known)
	})
}

// ReadLink answers readlink(path); see [store.Source].
func (o *Overlay) ReadLink(ctx context.Context, path string) (string, error) {
	return ask(ctx, o, readLinkRequest(path), reply.target, func(ctx context.Context) (string, error) {
		return o.origin.ReadLink(ctx, path)
	})
}

// ReadChunk returns a chunk of a file; see [store.Source].
func (o *Overlay) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	q := readChunkRequest(file, index)
	if q.room == 0 {
		return nil, &store.Error{Op: kinds[q.kind].op, Path: file.Path, Errno: syscall.EINVAL}
	}
	return ask(ctx, o, q, reply.chunk, func(ctx context.Context) (*store.Chunk, error) {
		return o.origin.ReadChunk(ctx, file, index)
	})
}

// route is the way of a question up a tree: it leaves from a position, by one of the tree's shapes.
type route struct {
	tree, position int
	shape          shape
}

// question is a request with what makes its reply an answer, and who answers when no peer does.
type question[A any] struct {
	ctx     context.Context
	overlay *Overlay
	request request
	route   route
	decode  func(reply) (A, error)
	origin  func(context.Context) (A, error)

	peer  *peer     // that it is put to now
	hedge *hedge[A] // nil while nobody else is asked
}

// ask puts a question to one node after the other until one has answered, and to the origin if
// none does. What the PFS said, be it an error, is an answer; a peer that can't be reached, is
// busy or talks nonsense has given none.
func ask[A any](
	ctx context.Context, o *Overlay, r request, decode func(reply) (A, error), origin func(context.Context) (A, error),
) (A, error) {
	tree := o.treeOf(r)
	way := route{tree, o.forest.Position(tree, o.self), o.forest.shapeFor(r)}
	if way.position == 0 || !cleaned(r.path) || o.local(r.path) {
		return origin(ctx)
	}
	q := &question[A]{ctx: ctx, overlay: o, request: r, route: way, decode: decode, origin: origin}
	var lost time.Duration
	for p := range o.upstream(way) {
		if o.solitude.is.Load() || lost >= o.timing.patience() {
			break
		}
		began := time.Now()
		q.peer = p
		answer, err := q.result(q.put(ctx, p, q.overdue))
		var failed *peerError
		if !errors.As(err, &failed) {
			return answer, err
		}
		o.log.Debug("asking somebody else", "path", r.path, "err", err)
		o.traffic.failovers.Add(1)
		if silent(err) {
			lost += min(time.Since(began), missedPings*o.timing.Ping)
		}
	}
	o.traffic.direct.Add(1)
	return origin(ctx)
}

// patience is how long a question waits for peers that turn out to be dead before it goes to the
// origin: for the first as long as it takes to be sure, for others, which were tried meanwhile,
// the rest.
func (t Timing) patience() time.Duration { return (missedPings + 1) * t.Ping }

// put puts the question to one peer; see [asker.askOr] for overdue. A *peerError is the peer's failure to answer.
func (q *question[A]) put(ctx context.Context, p *peer, overdue func() <-chan struct{}) (answer A, err error) {
	o := q.overlay
	o.traffic.asked(q.route.tree)
	r, err := p.ask(ctx, q.route.tree, q.request, overdue)
	if err != nil {
		return answer, err
	}
	o.traffic.received(q.route.tree, r.size())
	if err := r.problem(q.request); err != nil {
		if said := (*store.Error)(nil); !errors.As(err, &said) {
			return answer, p.failure(q.request, err) // it is alive, so no suspect
		}
		o.heard(p, q.request, r)
		return answer, err
	}
	if answer, err = q.decode(r); err != nil {
		p.distrust(err)
		return answer, p.failure(q.request, err)
	}
	o.heard(p, q.request, r)
	return answer, nil
}

// heard notes that a peer has answered.
func (o *Overlay) heard(p *peer, q request, r reply) {
	p.answered()
	o.pace.note(q.kind, r.took)
	if q.kind != kindReadLink { // the sites' log signal doesn't know that one
		o.first(kinds[q.kind].name)
	}
}

// upstream is whom to ask, one after the other: the live ancestors, nearest first. If all of them are
// dead, some other node must act as the root, lest every orphan read the PFS: the first live one in
// the tree's order, or this node if none is before it.
//
// Slow ones come last, after those that would stand in for them.
//
// All of them have a smaller position, so a question can't run in circles. Who is live is looked
// up as the walk gets there.
func (o *Overlay) upstream(r route) iter.Seq[*peer] {
	return func(yield func(*peer) bool) {
		ancestors := r.shape.ancestors(r.position)
		var slow []*peer
		live := false
		for _, above := range ancestors {
			p := o.peer(o.forest.Rank(r.tree, above))
			switch {
			case p.suspect.Load():
				continue
			case p.slow():
				slow = append(slow, p)
				continue
			case !yield(p):
				return
			}
			live = live || !p.suspect.Load()
		}
		standIns := 0
		if live {
			standIns = maxStandIns // the root's work is done by somebody, if not for this request
		}
		for before := 0; before < r.position && standIns < maxStandIns; before++ {
			p := o.peer(o.forest.Rank(r.tree, before))
			if p.suspect.Load() || p.slow() || slices.Contains(ancestors, before) {
				continue
			}
			if standIns++; !yield(p) {
				return
			}
		}
		if len(slow) > 0 && o.leads(r) {
			return
		}
		for _, p := range slow {
			if !p.suspect.Load() && !yield(p) {
				return
			}
		}
	}
}

// leads tells whether this node acts as the root of a tree, since all before it are dead or lastingly slow. For
// slowness only the first few do: where everything is slow, the network itself for instance, the others wait
// rather than all turn to the PFS.
func (o *Overlay) leads(r route) bool {
	if r.position > maxStandIns {
		return false
	}
	for before := range r.position {
		if p := o.peer(o.forest.Rank(r.tree, before)); !p.suspect.Load() && !p.lastinglySlow() {
			return false
		}
	}
	return true
}
