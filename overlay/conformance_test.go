package overlay

import (
	"fmt"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestConformance asks the last leaf of clusters of several sizes, over memory and over TCP, encrypted
// and not, with a store on every node and the real origin at each.
func TestConformance(t *testing.T) {
	tcp := plan{endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return TCP{} }}
	encrypted := tcp
	encrypted.config = func(cfg *Config) { cfg.Encrypt = true }
	networks := map[string]plan{
		"memory":           {},
		"tcp":              tcp,
		"encrypted":        encrypted,
		"encrypted memory": {config: encrypted.config},
	}
	for name, p := range networks {
		sizes := []int{1, 2, 8, 40}
		if p.config != nil {
			sizes = []int{8}
		}
		for _, n := range sizes {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
					p := p
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
