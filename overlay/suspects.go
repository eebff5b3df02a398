package overlay

import (
	"cmp"
	"slices"
	"time"
)

// Suspect is a peer that failed to answer and hasn't been reached since.
type Suspect struct {
	Rank  int
	Host  string
	Since time.Time
}

// Suspects are this node's suspects, by rank.
func (o *Overlay) Suspects() []Suspect {
	var suspects []Suspect
	for _, p := range o.known() {
		if since := p.since.Load(); p.suspect.Load() && since != nil {
			suspects = append(suspects, Suspect{Rank: p.node.Rank, Host: p.node.Host, Since: *since})
		}
	}
	slices.SortFunc(suspects, func(a, b Suspect) int { return cmp.Compare(a.Rank, b.Rank) })
	return suspects
}
