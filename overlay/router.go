package overlay

import (
	"context"
	"errors"
	"iter"
	"syscall"

	"github.com/copper-hpc/copper/store"
)

// maxStandIns bounds how many nodes are tried in the place of a dead root before this node reads
// the PFS itself. Those that fail are suspects from then on, so the next request tries others.
const maxStandIns = 3

var _ store.Source = (*Overlay)(nil)

// Stat answers lstat(path); see [store.Source].
func (o *Overlay) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	return ask(ctx, o, statRequest(path, stale), reply.attr, func() (store.Attr, error) {
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
	return ask(ctx, o, q, decode, func() (*store.Listing, error) {
		return o.origin.List(ctx, dir, known)
	})
}

// ReadLink answers readlink(path); see [store.Source].
func (o *Overlay) ReadLink(ctx context.Context, path string) (string, error) {
	return ask(ctx, o, readLinkRequest(path), reply.target, func() (string, error) {
		return o.origin.ReadLink(ctx, path)
	})
}

// ReadChunk returns a chunk of a file; see [store.Source].
func (o *Overlay) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	q := readChunkRequest(file, index)
	if q.room == 0 {
		return nil, &store.Error{Op: kinds[q.kind].op, Path: file.Path, Errno: syscall.EINVAL}
	}
	return ask(ctx, o, q, reply.chunk, func() (*store.Chunk, error) {
		return o.origin.ReadChunk(ctx, file, index)
	})
}

// ask puts a question to one node after the other until one has answered, and to the origin if
// none does. What the PFS said, be it an error, is an answer; a peer that can't be reached, is
// busy or talks nonsense has given none.
func ask[A any](
	ctx context.Context, o *Overlay, q request, decode func(reply) (A, error), origin func() (A, error),
) (A, error) {
	tree := o.treeOf(q)
	position := o.forest.Position(tree, o.self)
	if position == 0 || !cleaned(q.path) || o.local(q.path) {
		return origin()
	}
	for p := range o.upstream(tree, position, o.forest.shapeFor(q)) {
		answer, err := askPeer(ctx, o, p, tree, q, decode)
		var failed *peerError
		if errors.As(err, &failed) {
			o.log.Debug("asking somebody else", "path", q.path, "err", err)
			o.traffic.failovers.Add(1)
			continue
		}
		return answer, err
	}
	o.traffic.direct.Add(1)
	return origin()
}

// askPeer puts a question to one peer. A *peerError is its failure to answer.
func askPeer[A any](
	ctx context.Context, o *Overlay, p *peer, tree int, q request, decode func(reply) (A, error),
) (answer A, err error) {
	o.traffic.asked(tree)
	r, err := p.ask(ctx, tree, q)
	if err != nil {
		return answer, err
	}
	o.traffic.received(tree, r.size())
	if err := r.problem(q); err != nil {
		if said := (*store.Error)(nil); !errors.As(err, &said) {
			return answer, p.failure(q, err) // it is alive, so no suspect
		}
		o.heard(p, q)
		return answer, err
	}
	if answer, err = decode(r); err != nil {
		p.distrust(err)
		return answer, p.failure(q, err)
	}
	o.heard(p, q)
	return answer, nil
}

// heard notes that a peer has answered.
func (o *Overlay) heard(p *peer, q request) {
	p.answered()
	if q.kind != kindReadLink { // the sites' log signal doesn't know that one
		o.first(kinds[q.kind].name)
	}
}

// upstream is whom to ask, one after the other, from a position of a tree of that shape: the live ancestors,
// nearest first. If all of them are dead, some other node must act as the root, lest every orphan
// read the PFS: the first live one in the tree's order, or this node if none is before it.
//
// All of them have a smaller position, so a question can't run in circles. Who is live is looked
// up as the walk gets there.
func (o *Overlay) upstream(tree, position int, s shape) iter.Seq[*peer] {
	return func(yield func(*peer) bool) {
		ancestors := s.ancestors(position)
		live := false
		for _, above := range ancestors {
			p := o.peer(o.forest.Rank(tree, above))
			if p.suspect.Load() {
				continue
			}
			if !yield(p) {
				return
			}
			live = live || !p.suspect.Load()
		}
		if live {
			return // the root's work is done by somebody, if not for this request
		}
		standIns := 0
		for before := 0; before < position && standIns < maxStandIns; before++ {
			p := o.peer(o.forest.Rank(tree, before))
			if p.suspect.Load() {
				continue // as every ancestor is
			}
			if standIns++; !yield(p) {
				return
			}
		}
	}
}
