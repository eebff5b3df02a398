package overlay

import (
	"fmt"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestConformance asks the last leaf of clusters of several sizes, over memory, over TCP and over libfabric,
// encrypted and not, with a store on every node and the real origin at each.
func TestConformance(t *testing.T) {
	memory := func(testing.TB) plan { return plan{} }
	tcp := func(testing.TB) plan {
		return plan{endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return TCP{} }}
	}
	encrypted := func(of func(testing.TB) plan) func(testing.TB) plan {
		return func(t testing.TB) plan {
			p := of(t)
			p.config = func(cfg *Config) { cfg.Encrypt = true }
			return p
		}
	}
	networks := map[string]struct {
		plan  func(testing.TB) plan
		sizes []int
	}{
		"memory":           {memory, []int{1, 2, 8, 40}},
		"tcp":              {tcp, []int{1, 2, 8, 40}},
		"libfabric":        {func(t testing.TB) plan { return overFabric(t, fabricTCP) }, []int{2, 8}},
		"encrypted":        {encrypted(tcp), []int{8}},
		"encrypted memory": {encrypted(memory), []int{8}},
	}
	for name, network := range networks {
		for _, n := range network.sizes {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
					p := network.plan(t)
					p.nodes, p.fanout = n, 3
					p.origin = func(m *member) store.Source {
						origin, err := store.NewOrigin(dir, m.mem, store.OriginOptions{NegativeLifetime: storetest.Lifetime})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = origin.Close() })
						return origin
					}
					return start(t, p).at(0, n-1).store
				})
			})
		}
	}
}
