package e2e

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// withEightNICs is run in a network namespace of its own that has the interfaces of an Aurora node. $1 is the
// binary, $2 an empty directory.
const withEightNICs = `
ip link set lo up
for i in 0 1 2 3 4 5 6 7; do
  ip link add hsn$i address 02:00:00:00:00:0$i type veth peer name peer$i
  ip addr add 10.77.$i.1/24 dev hsn$i
  ip link set hsn$i up; ip link set peer$i up
done
cd $2
host=$(hostname -s)
export COPPER_DIR=$PWD/jobs COPPER_MOUNT=$PWD/mnt{rank} COPPER_TARGET=/etc
trap '$1 stop || :' EXIT
fail() { echo "$@" >&2; tail -n 50 jobs/*/logs/* >&2; exit 1; }
# run JOB OPTION…: two daemons, which must meet
run() {
  job=$1; shift
  $copper launch --nodes 2 --job $job "$@" 2>$job.err || { cat $job.err; exit 1; }
  book=jobs/$job/logs/copper_address_book.txt
  raw=jobs/$job/logs/copper_address_book_full_output.txt
  cmp /etc/hostname mnt0/hostname && cmp /etc/hostname mnt1/hostname
  $copper stop >/dev/null
}
copper=$1

# discover: the table of all interfaces, and the column that -n selects
run column -n tcp://hsn3
[[ $(<$book) =~ ^$host\ tcp://10.77.3.1:[0-9]+\ tcp://10.77.3.1:[0-9]+$ ]] || fail "book: $(<$book)"
header=hostname row=$host
for i in 0 1 2 3 4 5 6 7; do
  header+=" | hsn$i | mac$i | cxi$i" row+=" | 10.77.$i.1 | 02:00:00:00:00:0$i | NA"
done
[ "$(<$raw)" = "$header"$'\n'"$row" ] || fail "raw: $(<$raw)"

# every interface
run all -n tcp
for i in 0 1 2 3 4 5 6 7; do [[ $(<$book) == *tcp://10.77.$i.1:* ]] || fail "hsn$i is not in $(<$book)"; done

# a book that copper itself makes is one for facility
mpirun.openmpi -n 2 --oversubscribe $1 addressbook make -n tcp://hsn5 --raw table >site
[ "$(<site)" = "$host tcp://10.77.5.1" ] || fail "made: $(<site)"
[ "$(<table)" = "$header"$'\n'"$row" ] || fail "table: $(<table)"
echo "elsewhere ofi+cxi://0x00916600" >>site
run facility -a facility -F site
[[ $(<$book) =~ ^$host\ tcp://10.77.5.1:[0-9]+\ tcp://10.77.5.1:[0-9]+$ ]] || fail "book: $(<$book)"
cmp site $raw

# what this copper can't do is refused, or replaced with one warning
if $1 launch -n cxi://cxi1 2>err; then fail "cxi is accepted"; fi
grep -q 'take -n tcp://hsn1' err || fail "$(<err)"
run instead -n cxi://cxi1 --fallback
[[ $(<$book) == *" tcp://10.77.1.1:"* ]] || fail "book: $(<$book)"
[ $(grep -c warning $job.err) = 1 ] || fail "warnings: $(<$job.err)"

# CXI devices, as their driver shows them
mount -t tmpfs none /sys/class
for i in 0 1; do mkdir -p /sys/class/cxi_user/cxi$i/device/properties; done
echo 0x48b3 >/sys/class/cxi_user/cxi0/device/properties/nid
echo 0x3073 >/sys/class/cxi_user/cxi1/device/properties/nid
mpirun.openmpi -n 2 --oversubscribe $1 addressbook make -n cxi://cxi1 --raw table >site
[ "$(<site)" = "$host ofi+cxi://0x0060e600" ] || fail "made: $(<site)"
row=${row/NA/ofi+cxi://0x00916600}
[ "$(<table)" = "$header"$'\n'"${row/NA/ofi+cxi://0x0060e600}" ] || fail "table: $(<table)"
if $1 addressbook make -n cxi2 2>err; then fail "a book without endpoints"; fi
grep -q "network cxi2: 1 host without such an interface: $host" err || fail "$(<err)"
$1 doctor -n cxi1 >report || true
grep -q "CXI devices cxi0 (NIC 0x48b3), cxi1 (NIC 0x3073)" report || fail "$(<report)"
`

// TestAddressBooks: discovered and a facility's, over interfaces as a supercomputer's nodes have them.
func TestAddressBooks(t *testing.T) {
	copper := binary(t, "copper")
	if os.Getuid() != 0 {
		t.Skip("making network interfaces needs root")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "bash", "-euc", withEightNICs, "with-nics", copper, t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
