package simulate

import (
	"testing"
	"time"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
)

// TestFailures starts 64 nodes of the daemons' own code, and in the midst of it hosts die, fall silent and
// become slow, roots among them. Everybody gets everything all the same, those who are cut off
// straight from the PFS.
func TestFailures(t *testing.T) {
	const n = 64
	w := load(t, "scipy.stats")
	p := ordinary(n)
	hollow, err := store.NewHollow()
	if err != nil {
		t.Fatal(err)
	}
	forest, err := overlay.NewForest(Roster(n), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	InTest(t)(func() {
		j := &job{plan: p, world: w, pfs: newPFS(p.PFS, w), progress: func(int64, int64) {}}
		defer j.close()
		if err := j.start(n, forest, hollow); err != nil {
			t.Fatal(err)
		}
		dead := forest.Rank(0, 0)
		silent := forest.Rank(1, 0)
		slow := forest.Rank(2, 0)
		go func() {
			time.Sleep(300 * time.Millisecond)
			j.nodes[dead].host.Kill()
			j.nodes[silent].host.Cut()
			j.nodes[slow].host.Delay(2 * time.Millisecond)
		}()
		if err := j.replay(); err != nil {
			t.Error(err)
		}
		j.nodes[silent].host.Heal()
		var took, alone time.Duration
		for rank, m := range j.nodes {
			if rank == silent {
				alone = m.took
				continue
			}
			took = max(took, m.took)
		}
		// Three pings without a sign of life, and one more for who would be asked next. Who hears nobody
		// goes through that once.
		if took > 15*time.Second || alone > 15*time.Second {
			t.Errorf("it took %v, the silent node %v", took, alone)
		}
		// The two that are cut off ask for themselves; beside them a few questions were put twice.
		count := j.pfs.side.count
		all := int64(len(newObjects(w).all))
		if count.Repeated == 0 || count.Repeated > 3*all {
			t.Errorf("%d questions were put to the PFS again, of %d", count.Repeated, all)
		}
		failovers := int64(0)
		for _, m := range j.nodes {
			failovers += m.overlay.Stats().Failovers
		}
		if failovers == 0 {
			t.Error("nobody has noticed anything")
		}
		t.Logf("%v, the silent node %v; %d failovers, %+v", took, alone, failovers, count)
	})
}
