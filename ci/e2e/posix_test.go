package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/oracle"
	"github.com/copper-hpc/copper/ci/posix"
)

// TestPOSIX: what reaches a node through another is a read-only file system like any other, and after
// everything that was tried on it, still what is behind it.
func TestPOSIX(t *testing.T) {
	native := filepath.Join(openDir(t), "native")
	if err := os.Mkdir(native, 0o755); err != nil {
		t.Fatal(err)
	}
	posix.Build(t, native)
	job := start(t, cluster.Options{Nodes: 2, Target: native, Args: lifetime})
	posix.Run(t, native, job.Mount(1))
	differences, _, err := oracle.Compare(job.Mount(1)+"/tree", native+"/tree")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
}
