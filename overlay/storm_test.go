package overlay

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

var (
	stormSeed  = flag.Uint64("storm.seed", 0, "seed of the random faults; 0: a new one for each run, which is printed")
	stormNodes = flag.Int("storm.nodes", 1000, "nodes among which they strike")
	stormTime  = flag.Duration("storm.time", time.Minute, "virtual time during which they strike")
)

const (
	stormFiles   = 256
	stormReaders = 50
	// stormVictims is how many nodes are struck at one time.
	stormVictims = 12
)

// TestStorm strikes random nodes of a large job with random faults, roots and inner nodes more than
// others, while random nodes read. Every byte is right, and no question fails or waits for long.
//
//	go test ./overlay -run TestStorm -v -storm.seed=1 -storm.nodes=1000 -storm.time=10m
func TestStorm(t *testing.T) {
	seed := *stormSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	if raced || testing.Short() {
		*stormNodes = min(*stormNodes, 100) // the race detector stands 8,000 goroutines
	}
	t.Logf("-storm.seed=%d -storm.nodes=%d -storm.time=%v", seed, *stormNodes, *stormTime)
	// A page of each node's memory is to be a small one.
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err == nil {
		defer func() { _ = unix.Prctl(unix.PR_SET_THP_DISABLE, 0, 0, 0, 0) }()
	}
	synctest.Test(t, func(t *testing.T) {
		s := &storm{
			fleet: startFleet(t, *stormNodes, stormFiles, 64, plan{trees: 8}),
			down:  map[int]bool{}, random: rand.New(rand.NewPCG(seed, 0)),
		}
		s.paths = slices.Sorted(maps.Keys(s.truth))
		s.pause.Store(int64(3 * time.Millisecond))
		s.run(t, seed)
	})
}

// storm is a fleet under random faults.
type storm struct {
	*fleet
	paths  []string
	random *rand.Rand
	reads  atomic.Int64
	over   atomic.Bool

	state sync.Mutex   // guards the following, and the members
	down  map[int]bool // by rank, of those that are struck: whether the process itself is dead or stopped
	log   []string
}

func (s *storm) run(t *testing.T, seed uint64) {
	var readers, strikes sync.WaitGroup
	for i := range stormReaders {
		readers.Go(func() { s.read(t, rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	for end := time.Now().Add(*stormTime); time.Now().Before(end); {
		time.Sleep(time.Duration(s.random.Int64N(int64(time.Second))))
		rank, ok := s.victim()
		if !ok {
			continue
		}
		f, d := faults[s.random.IntN(len(faults))], 5*time.Second+time.Duration(s.random.Int64N(int64(15*time.Second)))
		strikes.Go(func() { s.strike(t, rank, f, d) })
	}
	strikes.Wait()
	s.over.Store(true)
	readers.Wait()
	t.Logf("%d reads during %d faults; longest stall %v (%s)", s.reads.Load(), len(s.log), s.stall, s.which)
	if s.stall > 8*time.Second { // a second fault may meet who gets around the first
		t.Errorf("a question took %v (%s)", s.stall, s.which)
	}
	s.calm(t)
	if t.Failed() {
		for _, line := range s.log {
			t.Log(line)
		}
	}
}

// calm checks that when all faults are over nobody is suspected any more, and nobody asks past the trees.
func (s *storm) calm(t *testing.T) {
	time.Sleep(3 * time.Minute)
	if n := s.suspected(s.everybody()); n > 0 {
		t.Errorf("%d peers are suspected 3 minutes after the last fault", n)
	}
	direct := func() (n int64) {
		for _, m := range s.members {
			n += m.Stats().Direct
		}
		return n
	}
	before := direct()
	s.stall = 0
	for range 200 {
		m := s.members[s.random.IntN(len(s.members))]
		if err := s.fleet.read(m, s.paths[s.random.IntN(len(s.paths))]); err != nil {
			t.Error(err)
		}
	}
	if n := direct() - before; n > 0 || s.stall > time.Second {
		t.Errorf("after the last fault %d questions went past the trees, and one took %v (%s)", n, s.stall, s.which)
	}
}

// victim picks a node that is well: every second time one of the first of a tree.
func (s *storm) victim() (rank int, ok bool) {
	s.state.Lock()
	defer s.state.Unlock()
	rank = s.random.IntN(len(s.hosts))
	if s.random.IntN(2) == 0 {
		f := s.members[0].forest
		rank = f.Rank(s.random.IntN(f.Trees()), s.random.IntN(10))
	}
	if s.down[rank] || len(s.down) >= stormVictims {
		return 0, false
	}
	s.down[rank] = false
	return rank, true
}

// strike lets a node fail for some time.
func (s *storm) strike(t *testing.T, rank int, f fault, d time.Duration) {
	host := s.hosts[rank]
	s.state.Lock()
	s.down[rank] = !f.alive
	s.log = append(s.log, fmt.Sprintf("%s: %s of rank %d for %v", time.Now().Format("05.000"), f.name, rank, d))
	f.strike(host)
	s.state.Unlock()
	time.Sleep(d)
	if f.heal != nil {
		f.heal(host)
	} else {
		s.restart(t, rank)
	}
	s.state.Lock()
	delete(s.down, rank)
	s.state.Unlock()
}

// restart starts a dead node's process anew.
func (s *storm) restart(t *testing.T, rank int) {
	s.state.Lock()
	defer s.state.Unlock()
	dead := s.members[rank]
	dead.kill()
	s.hosts[rank].Revive()
	ln, err := s.plan.transport(rank).Listen(s.nodes[rank].Endpoints[0])
	if err != nil {
		t.Error(err)
		return
	}
	s.members[rank] = s.cluster.run(t, rank, ln)
	dead.forget()
}

// read reads random files on random nodes.
func (s *storm) read(t *testing.T, random *rand.Rand) {
	for !s.over.Load() {
		time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
		rank := random.IntN(len(s.hosts))
		s.state.Lock()
		down, m := s.down[rank], s.members[rank]
		s.state.Unlock()
		if down {
			continue
		}
		if err := s.fleet.read(m, s.paths[random.IntN(len(s.paths))]); err != nil {
			t.Error(err)
		}
		s.reads.Add(1)
	}
}
