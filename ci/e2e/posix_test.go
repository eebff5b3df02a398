package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

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

// posixAsUser runs TestPOSIX as asUser runs its commands. $1 is the directory with the binaries, $2 an
// empty directory, $3 the test binary.
const posixAsUser = `
mknod -m 666 $2/fuse c 10 229
mount --bind $2/fuse /dev/fuse
mkdir $2/bin
install -m 755 $1/copper $2/bin/copper
install -m 755 $3 $2/bin/e2e.test
install -d -o nobody -g nogroup $2/home $2/home/tmp
cd $2/home
exec setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH=/usr/bin:/bin HOME=$PWD USER=nobody TMPDIR=$PWD/tmp \
	COPPER_E2E=$2/bin $2/bin/e2e.test -test.v \
	-test.run '^TestPOSIX$/^(Mutations|Directories|Names|Attributes|Content|Tools)$'
`

// TestPOSIXOrdinaryUser: the same for a user whom permissions concern.
func TestPOSIXOrdinaryUser(t *testing.T) {
	copper := binary(t, "copper")
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else; as an ordinary user TestPOSIX is this test")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private",
		"bash", "-euc", posixAsUser, "posix-as-user", filepath.Dir(copper), openDir(t), self)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestPOSIX ")) {
		t.Fatalf("%v\n%.5000s", err, out)
	}
}
