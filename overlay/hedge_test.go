package overlay

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// startLine starts n hosts, each the parent of the next, and returns them from the root down.
func startLine(t *testing.T, n, files int) (*fleet, []*member) {
	f := startFleet(t, n, files, 8, plan{trees: 1, fanout: 1})
	line := make([]*member, n)
	for position := range line {
		line[position] = f.at(0, position)
	}
	return f, line
}

// TestSlowPeerIsHedged: the next ancestor answers instead of a parent that is slow, which is asked again
// when it is well, and only then. What the parent sends too late is given back.
func TestSlowPeerIsHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, line := startLine(t, 3, 64)
		leaf, parent := line[2], f.hosts[line[1].self]
		read := func(i int) time.Duration {
			t.Helper()
			began := time.Now()
			if err := f.read(leaf, fmt.Sprintf("/d%d/f%d", i%16, i)); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		read(0)
		read(7) // bulk: all links stand
		parent.Delay(time.Second)
		if took := read(15); took > 2*time.Second {
			t.Errorf("with a slow parent a read took %v", took)
		}
		s := leaf.Stats()
		if s.Hedges == 0 || s.HedgesWon != s.Hedges || s.Direct != 0 || s.Slow != 1 || s.Suspects != 0 {
			t.Errorf("with a slow parent: %+v", s)
		}
		if took := read(23); took > 100*time.Millisecond {
			t.Errorf("a parent that is known to be slow held a read up for %v", took)
		}
		if again := leaf.Stats(); again.Hedges != s.Hedges {
			t.Errorf("a parent that is known to be slow is asked: %+v", again)
		}
		parent.Delay(0)
		time.Sleep(3 * time.Minute)
		before := line[1].Stats().Trees[0].Answered
		read(31)
		if s := leaf.Stats(); line[1].Stats().Trees[0].Answered == before || s.Slow != 0 || s.Suspects != 0 {
			t.Errorf("the parent is quick again, and was not asked: %+v", s)
		}
	})
}

// TestSlowPFSIsNotAskedTwice: where everybody waits for the PFS, hedges are few, they reach no PFS, and
// nobody counts as slow.
func TestSlowPFSIsNotAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files = 200
		f, line := startLine(t, 4, files)
		leaf := line[3]
		for _, pause := range []time.Duration{300 * time.Millisecond, 2 * time.Second, 20 * time.Second} {
			f.pause.Store(int64(pause))
			for _, m := range line {
				m.forget()
			}
			before := f.asked()
			var asking sync.WaitGroup
			for i := range files {
				asking.Go(func() { leaf.stat(t, fmt.Sprintf("/d%d/f%d", i%16, i)) })
				time.Sleep(20 * time.Millisecond)
			}
			asking.Wait()
			if n := f.asked() - before; n != files {
				t.Errorf("a PFS that takes %v was asked %d times for %d files", pause, n, files)
			}
		}
		asked := leaf.Stats().Trees[0].Asked
		if s := leaf.Stats(); s.Hedges == 0 || s.Hedges > hedgePurse+asked/hedgeShare || s.Slow != 0 || s.Direct != 0 {
			t.Errorf("with a slow PFS: %+v", s)
		}
	})
}

// TestSlowRootIsReplaced: the first nodes after a root that is slow read the PFS, nobody else does.
func TestSlowRootIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 40
		f := startFleet(t, n, 200, 8, plan{trees: 1})
		var paths []string
		for i := range 200 {
			paths = append(paths, fmt.Sprintf("/d%d/f%d", i%16, i))
		}
		f.readAll(t, f.everybody(), paths[:16], 1)
		f.hosts[f.at(0, 0).self].Delay(10 * time.Second)
		f.stall = 0
		var below []int
		for position := 1; position < n; position++ {
			below = append(below, f.at(0, position).self)
		}
		f.readAll(t, below, paths[16:], 2)
		if f.stall > 5*time.Second {
			t.Errorf("below a slow root a question took %v (%s)", f.stall, f.which)
		}
		for position := range n {
			s := f.at(0, position).Stats()
			if acts := position >= 1 && position <= maxStandIns; !acts && s.Direct > 0 {
				t.Errorf("position %d asked the PFS itself: %+v", position, s)
			}
		}
		if f.at(0, 1).Stats().Direct == 0 {
			t.Error("the first node after the root has not taken its place")
		}
	})
}

// TestIsolatedNode: a node that hears nobody concludes that once, not for each peer and tree, and is back
// soon after it is heard again.
func TestIsolatedNode(t *testing.T) {
	for _, warm := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := startFleet(t, 200, 96, 8, plan{})
			alone := f.at(0, 150)
			paths := make([]string, 96)
			for i := range paths {
				paths[i] = fmt.Sprintf("/d%d/f%d", i%16, i)
			}
			read := func(paths []string) time.Duration {
				began := time.Now()
				f.readAll(t, []int{alone.self}, paths, 1)
				return time.Since(began)
			}
			if warm {
				read(paths[:32])
			}
			f.hosts[alone.self].Cut()
			if took := read(paths[32:64]); took > 6*time.Second {
				t.Errorf("warm %v: a node that is cut off took %v for 32 files of %d trees", warm, took, alone.forest.Trees())
			}
			f.hosts[alone.self].Heal()
			time.Sleep(3 * time.Minute)
			before := alone.Stats()
			read(paths[64:])
			if s := alone.Stats(); s.Direct != before.Direct || s.Suspects+s.Slow > 0 {
				t.Errorf("warm %v: after its return: %+v, before %+v", warm, s, before)
			}
		})
	}
}

// TestStoppedPeerIsLeftAtOnce: what one line finds out, all know. Nobody dials a peer again that has just
// been found silent.
func TestStoppedPeerIsLeftAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFleet(t, 3, 64, 8, plan{trees: 3, fanout: 1})
		f.pause.Store(int64(time.Minute)) // nobody gets an answer before the stop
		asker := f.members[0]
		var asking sync.WaitGroup
		ended := make([]time.Duration, 64)
		began := time.Now()
		for i := range ended {
			asking.Go(func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				asker.stat(t, fmt.Sprintf("/d%d/f%d", i%16, i))
				ended[i] = time.Since(began)
			})
		}
		time.Sleep(time.Second)
		f.hosts[1].Stop()
		f.hosts[2].Stop()
		asking.Wait()
		for i, end := range ended {
			if end > time.Second+5*time.Second+time.Minute {
				t.Errorf("question %d was answered after %v", i, end)
			}
		}
		if s := asker.Stats(); s.Suspects != 2 {
			t.Errorf("two peers are stopped: %+v", s)
		}
	})
}

// TestFlappingIsBounded: a peer that comes and goes is tried less and less often, although it
// answers each time that it is there.
func TestFlappingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, line := startLine(t, 2, 8)
		leaf, root := line[1], f.hosts[line[0].self]
		falls := 0
		for range 600 {
			if p := leaf.peer(line[0].self); !p.suspect.Load() {
				leaf.stat(t, "/d0/f0")
				root.Kill() // its listener stays
				leaf.stat(t, "/d1/f1")
				root.Revive()
				falls++
			}
			time.Sleep(time.Second)
		}
		if falls < 5 || falls > 30 { // once a second without a bound; once a minute with it, in the end
			t.Errorf("a peer that breaks at every second question was trusted %d times in 10 minutes", falls)
		}
	})
}

// TestPartialPartition: two nodes that don't reach each other get everything by others who reach both.
func TestPartialPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, line := startLine(t, 4, 32)
		leaf := line[3]
		if err := f.read(leaf, "/d0/f0"); err != nil {
			t.Error(err)
		}
		f.hosts[leaf.self].Part(f.hosts[line[2].self])
		for i := range 32 {
			if err := f.read(leaf, fmt.Sprintf("/d%d/f%d", i%16, i)); err != nil {
				t.Error(err)
			}
		}
		if err := f.read(line[2], "/d1/f1"); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if s := leaf.Stats(); s.Direct != 0 || s.Suspects != 1 || f.stall > 5*time.Second {
			t.Errorf("parted from its parent: %+v, longest stall %v", s, f.stall)
		}
		if s := line[2].Stats(); s.Suspects != 0 || s.Direct != 0 {
			t.Errorf("parted from its child: %+v", s)
		}
		f.hosts[leaf.self].Join(f.hosts[line[2].self])
		time.Sleep(3 * time.Minute)
		if s := leaf.Stats(); s.Suspects+s.Slow != 0 {
			t.Errorf("together again: %+v", s)
		}
	})
}

// TestFewTakeTheRootsPlace: where all are slow, only the first nodes of a tree turn to the PFS for that.
func TestFewTakeTheRootsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startFleet(t, 8, 1, 8, plan{trees: 1})
		for position := 1; position < 8; position++ {
			m := f.at(0, position)
			for before := range position {
				p := m.peer(m.forest.Rank(0, before))
				p.slowed("the test says so")
				if m.leads(route{0, position, m.forest.shape}) {
					t.Errorf("position %d takes the root's place for a hiccup", position)
				}
				p.delays.strike(m.clock())
			}
			asked := 0
			r := route{0, position, m.forest.shape}
			for range m.upstream(r) {
				asked++
			}
			if leads := m.leads(r); leads != (position <= maxStandIns) || leads != (asked == 0) {
				t.Errorf("position %d takes the root's place: %v, and asks %d peers", position, leads, asked)
			}
		}
	})
}

// TestLongReplyIsASignOfLife: a reply that takes its time is what an idle connection was waited for, and
// shows that the peer is alive.
func TestLongReplyIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		network := NewVirtualNetwork(Wire{Bandwidth: 400e3})
		hosts := []*VirtualHost{network.Host(), network.Host()}
		c := start(t, plan{nodes: 2, origin: origin, transport: func(rank int) Transport { return hosts[rank] }})
		leaf := c.at(0, 1)
		tree, _ := leaf.origin.(*storetest.Tree)
		for _, size := range []int{1, store.ChunkSize} {
			path := fmt.Sprintf("/of%d", size)
			tree.Write(path, make([]byte, size))
			file := store.File{Path: path, Version: leaf.stat(t, path).Version()}
			chunk, err := leaf.ReadChunk(t.Context(), file, 0)
			if err != nil {
				t.Fatal(err)
			}
			chunk.Release()
			time.Sleep(10 * time.Second)
		}
		if s := leaf.Stats(); s.Suspects != 0 || s.Failovers != 0 {
			t.Errorf("after a reply that took long: %+v", s)
		}
	})
}
