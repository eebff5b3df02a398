package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/copper-hpc/copper/overlay/fabric"
	"github.com/copper-hpc/copper/store"
)

// Two of libfabric's providers, which are quite different inside.
const (
	fabricTCP = "ofi+tcp://127.0.0.1:0"
	fabricNet = "ofi+net://127.0.0.1:0"
)

// overFabric is a plan over libfabric. It skips the test where that is not, unless COPPER_REQUIRE_LIBFABRIC is set.
func overFabric(t testing.TB, endpoint string) plan {
	t.Helper()
	if _, err := fabric.Library(); (errors.Is(err, fabric.ErrNotBuilt) || errors.Is(err, fabric.ErrAbsent)) && os.Getenv("COPPER_REQUIRE_LIBFABRIC") == "" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	nodes := map[int]*fabric.Transport{} // they share nothing
	return plan{
		endpoint: endpoint,
		transport: func(rank int) Transport {
			if nodes[rank] == nil {
				nodes[rank] = fabric.New(slog.New(slog.DiscardHandler))
				t.Cleanup(func() {
					if err := nodes[rank].Close(); err != nil {
						t.Error(err)
					}
				})
			}
			return nodes[rank]
		},
	}
}

// TestFabricFaults: a node in the middle of a chain dies, stops or garbles what it sends, and the ones below read
// all as it is, without long stalls.
func TestFabricFaults(t *testing.T) {
	for name, strike := range map[string]func(*member, *faulty){
		"kill": func(m *member, _ *faulty) {
			_ = m.Close()
			_ = m.transport.(*faulty).Transport.(*fabric.Transport).Close()
		},
		"stop":    func(_ *member, f *faulty) { f.freeze() },
		"garbage": func(_ *member, f *faulty) { f.corrupt.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			const nodes, files = 4, 24
			content := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 1<<20+i) }
			tree, origin := pfs(t, 0)
			for i := range files {
				tree.Write(fmt.Sprint("/f", i), content(i))
			}
			p := overFabric(t, fabricNet)
			bare, faults := p.transport, map[int]*faulty{}
			p.transport = func(rank int) Transport {
				if faults[rank] == nil {
					faults[rank] = &faulty{Transport: bare(rank)}
				}
				return faults[rank]
			}
			p.nodes, p.trees, p.fanout, p.origin = nodes, 1, 1, origin
			p.timing = Timing{Ping: 200 * time.Millisecond, Dial: 300 * time.Millisecond}
			c := start(t, p)
			victim := c.at(0, 1)
			if name == "stop" {
				t.Cleanup(faults[victim.self].unfreeze)
			}
			var readers sync.WaitGroup
			var longest atomic.Int64
			struck := make(chan struct{})
			for position := 2; position < nodes; position++ {
				readers.Go(func() {
					m := c.at(0, position)
					for i := range files {
						if i == files/4 {
							<-struck
						}
						began := time.Now()
						path := fmt.Sprint("/f", i)
						got := readFile(t, m, store.File{Path: path, Version: m.stat(t, path).Version()})
						if !bytes.Equal(got, content(i)) {
							t.Errorf("%s: %d bytes, which are wrong", path, len(got))
						}
						longest.Store(max(longest.Load(), int64(time.Since(began))))
					}
				})
			}
			c.at(0, 2).stat(t, "/f0")
			strike(victim, faults[victim.self])
			close(struck)
			readers.Wait()
			if s := c.at(0, 2).Stats(); s.Failovers+s.Hedges+s.Direct == 0 {
				t.Errorf("nobody noticed: %+v", s)
			}
			stall := time.Duration(longest.Load())
			if t.Logf("the longest stall was %v", stall); stall > 20*time.Second {
				t.Error("that is too long")
			}
		})
	}
}
