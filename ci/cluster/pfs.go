package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/copper-hpc/copper/ci/slowfs"
)

// PFS starts a slow file system over backing with one mount per node, dir/pfs0, dir/pfs1, …; see
// [Target].
func PFS(dir, backing string, nodes int, o slowfs.Options) (*slowfs.Server, error) {
	o.Backing = backing
	for i := range nodes {
		m := filepath.Join(dir, fmt.Sprint("pfs", i))
		if err := os.MkdirAll(m, 0o755); err != nil {
			return nil, err
		}
		o.Mounts = append(o.Mounts, m)
	}
	return slowfs.Start(o)
}

// Target is the --target with which each node sees its own mount of the PFS in dir.
func Target(dir string) string { return filepath.Join(dir, "pfs{rank}") }

// CopyPackages makes dir/site-packages with a copy of this machine's numpy and scipy and returns its
// path.
func CopyPackages(dir string) (string, error) {
	site := filepath.Join(dir, "site-packages")
	if err := os.MkdirAll(site, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"numpy", "scipy"} {
		from := filepath.Join("/usr/lib/python3/dist-packages", name)
		if out, err := exec.Command("cp", "-a", "--no-preserve=ownership", from, site).CombinedOutput(); err != nil {
			return "", fmt.Errorf("copying %s (Debian: apt-get install python3-scipy): %w: %s", from, err, out)
		}
	}
	return site, nil
}
