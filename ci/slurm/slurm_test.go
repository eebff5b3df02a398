package slurm

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/copper-hpc/copper/ci/nodes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCluster: jobs run on the hosts, each task on its own.
func TestCluster(t *testing.T) {
	if err := Check(); err != nil {
		if os.Getenv("COPPER_REQUIRE_SLURM") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	n, err := nodes.Up(3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Down(); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	c, err := Up(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Slurm is up after %v", time.Since(began).Round(time.Millisecond))
	out, err := c.ask("srun", "-N", "3", "--ntasks-per-node=1", "--label", "hostname")
	if err != nil {
		t.Fatal(err, c.Logs())
	}
	for _, want := range []string{"0: n1\n", "1: n2\n", "2: n3\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q in %q", want, out)
		}
	}
	t.Log(c.ask("srun", "--mpi=list"))
	if err := c.Down(); err != nil {
		t.Error(err)
	}
}
