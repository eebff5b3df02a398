package e2e

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// withNICs is run in a network namespace of its own that has two high-speed interfaces. $1 is the
// binary, $2 an empty directory, $3 what the job shows.
const withNICs = `
ip link set lo up
for i in 0 1; do
  ip link add hsn$i type veth peer name peer$i
  ip addr add 10.77.$i.1/24 dev hsn$i
  ip link set hsn$i up; ip link set peer$i up
done
cd $2
$1 launch --nodes 4 -T 4 --fanout 3 --target $3 -v $PWD/mnt{rank} -d $PWD/jobs
trap '$1 stop -d $PWD/jobs' EXIT
for n in 0 1 2 3; do diff -r $3/numpy/core mnt$n/numpy/core; done
ss -Htn state established | awk '{print $4}' | sed 's/:[0-9]*$//' | sort -u >addresses
for i in 0 1; do grep -q '^10\.77\.'$i'\.1$' addresses || { echo "nothing went through hsn$i:"; cat addresses; exit 1; }; done
`

// TestSeveralNICs: a node with several high-speed interfaces is reached by each of them, the trees
// being spread over them.
func TestSeveralNICs(t *testing.T) {
	copper := binary(t, "copper")
	if os.Getuid() != 0 {
		t.Skip("making network interfaces needs root")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "bash", "-euc", withNICs, "with-nics", copper, t.TempDir(), site(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
