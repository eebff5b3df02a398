package simulate

import (
	"fmt"
	"math"
	"time"

	"github.com/copper-hpc/copper/overlay"
)

// Plan is what is to be simulated.
type Plan struct {
	// Nodes are the sizes of the job, each of which is simulated.
	Nodes []int `json:"-"`
	// Processes run on each node. All but one of them find everything in the node's kernel caches.
	Processes int `json:"processes_per_node"`
	// Trees and Fanout are those of the overlay; 0: automatic.
	Trees  int `json:"trees"`
	Fanout int `json:"fanout"`
	// InFlight is how many accesses a node has under way at one time: 1 as a process does that goes
	// from one to the next, more as one does that loads a manifest ahead.
	InFlight int `json:"in_flight"`
	// Access is what an access costs the node itself: the kernel, FUSE, the lookup in memory.
	Access time.Duration `json:"access_ns"`
	Wire   overlay.Wire  `json:"wire"`
	PFS    PFS           `json:"pfs"`
	// Real is the largest number of nodes that run the daemons' own code. Larger jobs are modelled.
	Real int `json:"-"`
}

const (
	maxNodes    = 100_000
	maxFanout   = 1024
	maxInFlight = 256
	maxDuration = time.Minute
	maxRate     = 1e18
)

// Check tells what is wrong with a plan.
func (p Plan) Check() error {
	if len(p.Nodes) == 0 {
		return fmt.Errorf("no number of nodes is given")
	}
	for _, n := range p.Nodes {
		switch {
		case n < 1 || n > maxNodes:
			return fmt.Errorf("%d nodes: want 1 to %d", n, maxNodes)
		case p.Trees > n:
			return fmt.Errorf("%d trees for %d nodes: want no more trees than nodes", p.Trees, n)
		}
	}
	switch {
	case p.Processes < 1 || p.Processes > 4096:
		return fmt.Errorf("%d processes per node: want 1 to 4096", p.Processes)
	case p.Trees < 0:
		return fmt.Errorf("%d trees: want 1 or more, or 0 for automatic", p.Trees)
	case p.Fanout < 0 || p.Fanout == 1 || p.Fanout > maxFanout:
		return fmt.Errorf("a fan-out of %d: want 2 to %d, or 0 for automatic", p.Fanout, maxFanout)
	case p.InFlight < 1 || p.InFlight > maxInFlight:
		return fmt.Errorf("%d accesses under way: want 1 to %d", p.InFlight, maxInFlight)
	case p.Real < 0:
		return fmt.Errorf("%d nodes of real code: want 0 or more", p.Real)
	}
	for name, d := range map[string]time.Duration{
		"the latency": p.Wire.Latency, "the handling time": p.Wire.Handling, "the access time": p.Access, "the PFS's latency": p.PFS.Latency,
	} {
		if d < 0 || d > maxDuration {
			return fmt.Errorf("%s is %v: want 0 to %v", name, d, maxDuration)
		}
	}
	for name, rate := range map[string]float64{
		"the bandwidth of a node": p.Wire.Bandwidth, "the PFS's operations per second": p.PFS.Ops,
		"the PFS's bandwidth": p.PFS.Bandwidth, "the PFS's bandwidth for one client": p.PFS.ClientBandwidth,
	} {
		if !(rate >= 1 && rate <= maxRate) || math.IsNaN(rate) {
			return fmt.Errorf("%s is %g: want 1 to %g", name, rate, maxRate)
		}
	}
	return nil
}
