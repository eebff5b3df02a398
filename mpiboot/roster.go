package mpiboot

import (
	"errors"
	"fmt"
	"log/slog"
)

// secretSize is the length of the job's secret in bytes.
const secretSize = 32

// Roster is everybody in the job step, by rank. It is the same on every rank but for Self.
type Roster struct {
	Self   int              // this process's rank, an index into Cards
	Cards  []Card           // Cards[i].Rank == i
	Secret [secretSize]byte `json:"-"`
}

// Format prints the roster without its secret, whatever the verb.
func (r Roster) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "roster of %d, self %d", len(r.Cards), r.Self)
}

// LogValue keeps the secret out of logs.
func (r Roster) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("size", len(r.Cards)), slog.Int("self", r.Self))
}

// The records that ranks send each other begin with their kind. An empty record says "ready".
const (
	recordCard    = 'c' // then the card
	recordSecret  = 's' // then the secret, then the card: rank 0's
	recordFailure = 'f' // then the host name's length in one byte, the host name, the error text
)

// maxRecord bounds what is allocated on another rank's word, in bytes.
const maxRecord = 1 + secretSize + 1 + 3*4 + 2 + maxHost + 2 + maxMount + 2 + maxInterfaces + 2 + maxNote + 1 + maxEndpoints*(2+maxEndpoint)

// assemble makes the roster from the records of all ranks. All ranks see the same records, so
// that all come to the same result.
func assemble(self int, records [][]byte) (*Roster, error) {
	if failed := failures(records); failed != nil {
		return nil, failed
	}
	r := &Roster{Self: self, Cards: make([]Card, len(records))}
	for rank, rec := range records {
		kind := byte(recordCard)
		if rank == 0 {
			kind = recordSecret
		}
		if len(rec) == 0 || rec[0] != kind {
			return nil, fmt.Errorf("rank %d: not a card", rank)
		}
		rec = rec[1:]
		if rank == 0 {
			if len(rec) < secretSize {
				return nil, errors.New("rank 0: record ends within the secret")
			}
			copy(r.Secret[:], rec)
			rec = rec[secretSize:]
		}
		card, err := decodeCard(rec)
		if err != nil {
			return nil, fmt.Errorf("rank %d: %w", rank, err)
		}
		if card.Rank != rank {
			return nil, fmt.Errorf("%s: card of rank %d came from rank %d", card.Host, card.Rank, rank)
		}
		if first := r.Cards[0]; rank > 0 && card.Version != first.Version {
			return nil, fmt.Errorf("%s (rank %d) speaks protocol version %d, %s (rank 0) version %d: "+
				"all ranks must run the same program", card.Host, rank, card.Version, first.Host, first.Version)
		}
		r.Cards[rank] = card
	}
	return r, nil
}
