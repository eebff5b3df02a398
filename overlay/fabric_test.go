package overlay

import (
	"errors"
	"log/slog"
	"os"
	"testing"

	"github.com/copper-hpc/copper/overlay/fabric"
)

// overFabric is a plan over libfabric. It skips the test where that is not, unless COPPER_REQUIRE_LIBFABRIC is set.
func overFabric(t testing.TB) plan {
	t.Helper()
	if _, err := fabric.Library(); (errors.Is(err, fabric.ErrNotBuilt) || errors.Is(err, fabric.ErrAbsent)) && os.Getenv("COPPER_REQUIRE_LIBFABRIC") == "" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	nodes := map[int]*fabric.Transport{} // they share nothing
	return plan{
		endpoint: "ofi+net://127.0.0.1:0",
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
