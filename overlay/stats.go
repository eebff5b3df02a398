package overlay

import "sync/atomic"

// Stats is a reading of an overlay's counters since its start.
type Stats struct {
	Trees []TreeStats `json:"trees"`
	// Failovers is how often a request went on to somebody else because a peer gave no answer.
	Failovers int64 `json:"failovers"`
	// Direct is how many requests this node put to its origin though it isn't the root for them.
	Direct int64 `json:"direct"`
	// Suspects are peers that failed to answer and haven't been reached since.
	Suspects int `json:"suspects"`
	// Slow are peers that others are preferred to because they were slow to answer.
	Slow int `json:"slow"`
	// Hedges is how often another node was asked too because a peer was slow to answer, and
	// HedgesWon how often that one answered first.
	Hedges    int64 `json:"hedges"`
	HedgesWon int64 `json:"hedges_won"`
	// Parents are peers with an open connection on which this node asks.
	Parents int `json:"parents"`
	// Children are open connections on which this node is asked.
	Children int `json:"children"`
}

// TreeStats is what went over one tree, at this node. Bytes are those of what was asked for,
// without headers.
type TreeStats struct {
	Asked    int64 `json:"asked"`     // requests put to peers
	BytesIn  int64 `json:"bytes_in"`  // that came of them
	Answered int64 `json:"answered"`  // requests of children that got what they asked for
	BytesOut int64 `json:"bytes_out"` // that they got
}

// traffic is the counters behind Stats.
type traffic struct {
	trees     []treeTraffic
	failovers atomic.Int64
	direct    atomic.Int64
	hedges    atomic.Int64
	hedgesWon atomic.Int64
	children  atomic.Int64
}

type treeTraffic struct {
	asked, in, answered, out atomic.Int64
}

func (t *traffic) asked(tree int) { t.trees[tree].asked.Add(1) }

func (t *traffic) received(tree, bytes int) { t.trees[tree].in.Add(int64(bytes)) }

func (t *traffic) answered(tree, bytes int) {
	t.trees[tree].answered.Add(1)
	t.trees[tree].out.Add(int64(bytes))
}

// Stats reads the counters.
func (o *Overlay) Stats() Stats {
	s := Stats{
		Trees:     make([]TreeStats, len(o.traffic.trees)),
		Failovers: o.traffic.failovers.Load(),
		Direct:    o.traffic.direct.Load(),
		Hedges:    o.traffic.hedges.Load(),
		HedgesWon: o.traffic.hedgesWon.Load(),
		Children:  int(o.traffic.children.Load()),
	}
	for i := range s.Trees {
		t := &o.traffic.trees[i]
		s.Trees[i] = TreeStats{
			Asked: t.asked.Load(), BytesIn: t.in.Load(),
			Answered: t.answered.Load(), BytesOut: t.out.Load(),
		}
	}
	for _, p := range o.known() {
		if p.suspect.Load() {
			s.Suspects++
		} else if p.slow() {
			s.Slow++
		}
		if p.connected() {
			s.Parents++
		}
	}
	return s
}
