package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// asUser is run by root in a mount namespace of its own, where /dev/fuse is open to everybody as on
// most machines, since on some it is not. $1 is the binary, $2 a directory with the target in it, $3
// the prober. A user's new mount can't come beneath the dead one: what the prober meets in between are
// loops of links (ELOOP).
const asUser = `
mknod -m 666 $2/fuse c 10 229
mount --bind $2/fuse /dev/fuse
install -m 755 $1 $2/copper
install -m 755 $3 $2/prober
cp /etc/passwd $2/target
install -d -o nobody -g nogroup $2/home
cd $2/home
user() { setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH=/usr/bin:/bin HOME=$PWD USER=nobody "$@"; }
user ../copper launch --nodes 2 --target $2/target -v $PWD/mnt{rank} -d $PWD/jobs
trap 'user ../copper stop -d $PWD/jobs || :' EXIT
user cmp /etc/passwd mnt1/passwd
mkfifo end met
user COPPER_E2E_PROBER=1 ../prober $PWD/mnt1 <end >met &
exec 3>end 4<met
read -r -u 4 line
[ "$line" = ready ]
# daemon is the process of rank 1 whose mount answers, or nothing.
daemon() {
	user ../copper status --json -d $PWD/jobs 2>/dev/null | awk '
		/"rank": 1,/ { here = 1 }
		here && /"pid"/ { gsub(/[^0-9]/, ""); pid = $0 }
		here && /"since"/ { if ($0 !~ /"0001-/) print pid; exit }'
}
for round in 1 2 3; do
	pid=$(daemon)
	user kill -KILL $pid
	# What the kernel has in its caches it answers for a dead daemon, too: a new one is what is awaited.
	for i in $(seq 100); do next=$(daemon); [ "${next:-$pid}" != $pid ] && break; sleep 0.1; done
	user cmp /etc/passwd mnt1/passwd # a new daemon's
done
echo >&3
cat <&4 >said
cat said
if grep WRONG said; then exit 1; fi
exec 3>&- 4<&-
if cat mnt1/passwd >/dev/null 2>&1; then echo "root is in the user's mount"; exit 1; fi
user ../copper stop -d $PWD/jobs
trap - EXIT
if grep fuse.copper /proc/self/mountinfo | grep $PWD; then echo "still mounted"; exit 1; fi
if ls -d mnt*; then echo "mount points are left"; exit 1; fi
user cat jobs/*/job.json >/dev/null
[ "$(stat -c %a jobs/*/job.json)" = 600 ]
`

// TestOrdinaryUser: an unprivileged user launches, reads, survives a daemon and stops, by the system's
// fusermount3 alone; nobody else, root included, can enter the mounts or read the job's files.
func TestOrdinaryUser(t *testing.T) {
	copper := binary(t, "copper")
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else; as an ordinary user every other test is this test")
	}
	dir := filepath.Clean(openDir(t))
	makeProbed(t, filepath.Join(dir, "target"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private",
		"bash", "-euc", asUser, "as-user", copper, dir, os.Args[0])
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// openDir is a temporary directory that every user can enter, as those of t.TempDir are not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "copper-e2e-open-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
