package overlay

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// counters is a sum of records of one length: how many nodes, the sum of their ranks, that of the squares, and padding.
type counters [512]uint64

const recordSize = 8 * len(counters{})

func recordOf(rank int) []byte {
	c := counters{1, uint64(rank), uint64(rank * rank)}
	b, _ := c.Bytes()
	return b
}

func (c *counters) Add(body []byte) error {
	if len(body) != recordSize {
		return errors.New("no record")
	}
	for i := range c {
		c[i] += binary.LittleEndian.Uint64(body[8*i:])
	}
	return nil
}

func (c *counters) Bytes() ([]byte, error) {
	var b []byte
	for _, n := range c {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b, nil
}

// TestGatherReduces: of a thousand nodes, some of them dead or stopped, each that answers counts once, the others
// are named, and no node is sent more than a record from each of its children and of what it must ask in the
// place of dead ones.
func TestGatherReduces(t *testing.T) {
	n := 1000
	if raced {
		n = 100
	}
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err == nil { // as in TestStorm
		defer func() { _ = unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0) }()
	}
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		network := NewVirtualNetwork(Wire{Latency: time.Millisecond})
		hosts := make([]*VirtualHost, n)
		for i := range hosts {
			hosts[i] = network.Host()
		}
		c := start(t, plan{nodes: n, origin: origin, transport: func(rank int) Transport { return hosts[rank] }})
		for _, m := range c.members {
			m.Handle(func(context.Context, []byte) ([]byte, error) { return recordOf(m.self), nil },
				func([]byte) Sum { return &counters{} })
		}
		f := c.members[0].forest
		asker := f.Rank(controlTree, n-1)
		gather := func(dead map[int]bool) (most, mine int64) {
			t.Helper()
			before := make([]int64, n)
			for i, h := range hosts {
				before[i] = h.Received()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			g, err := c.members[asker].Gather(ctx, []byte("totals"))
			if err != nil || ctx.Err() != nil {
				t.Fatalf("%v, after the deadline: %v", err, ctx.Err())
			}
			var want, got counters
			for rank := range n {
				if !dead[rank] {
					_ = want.Add(recordOf(rank))
				}
			}
			if err := got.Add(g.Body); err != nil || got != want {
				t.Errorf("%d nodes, sum of ranks %d, of squares %d; want %d, %d, %d; %v", got[0], got[1], got[2], want[0], want[1], want[2], err)
			}
			for _, m := range g.Missing {
				if !dead[m.Rank] || m.Err == "" && len(dead) <= MaxReasons {
					t.Errorf("rank %d is missing: %q", m.Rank, m.Err)
				}
			}
			if len(g.Missing) != len(dead) {
				t.Errorf("%d nodes are missing, want %d", len(g.Missing), len(dead))
			}
			for i, h := range hosts {
				most = max(most, h.Received()-before[i])
			}
			mine = hosts[asker].Received() - before[asker]
			t.Logf("%d nodes answer, %d don't; the asker received %d bytes, any node at most %d; a record is %d",
				got[0], len(g.Missing), mine, most, recordSize)
			return most, mine
		}
		const slack = 4 << 10 // handshakes, headers, pings, the list of the missing
		most, mine := gather(nil)
		if mine > int64(recordSize+slack) {
			t.Errorf("the asker received %d bytes of the root, where a record is %d", mine, recordSize)
		}
		if limit := int64(defaultFanout*recordSize + slack*defaultFanout); most > limit {
			t.Errorf("a node received %d bytes, want %d at most", most, limit)
		}

		// The root, one of its children, and others: dead, or stopped with their connections open.
		dead := map[int]bool{}
		random := rand.New(rand.NewPCG(1, 2))
		for _, position := range []int{0, f.children(0)[1], random.IntN(n - 2), random.IntN(n - 2), n - 2} {
			rank := f.Rank(controlTree, position)
			dead[rank] = true
			if position%2 == 0 {
				c.members[rank].kill()
			} else {
				hosts[rank].Stop()
				defer hosts[rank].Heal()
			}
		}
		if _, mine := gather(dead); mine > int64(2*defaultFanout*(recordSize+slack)) {
			t.Errorf("in the place of the root and one of its children the asker received %d bytes", mine)
		}
		time.Sleep(time.Minute)
	})
}
