package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/slowfs"
	"github.com/copper-hpc/copper/launch"
)

// sickNode makes a node of its own (mounts, processes, /tmp) in which an ordinary user meets one
// trouble after the other and asks copper doctor. $1 is copper, $2 copper-mpich.
const sickNode = `
mount -t tmpfs -o mode=755 none /mnt
install -m 755 $1 $2 /mnt
mount -t tmpfs -o mode=1777 none /tmp
mknod -m 666 /mnt/fuse c 10 229
mount --bind /mnt/fuse /dev/fuse
install -d -o nobody -g nogroup /mnt/home
mkdir /mnt/other
ln -s $(command -v mpirun.openmpi) /mnt/other/mpiexec
cd /mnt/home
user() { setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH=${path:-/usr/bin:/bin} HOME=$PWD USER=nobody COPPER_DIR=$PWD/jobs "$@"; }
# doctor CODE [ARGUMENTS…]: its exit code must be that one.
doctor() {
	want=$1 code=0
	shift
	user /usr/bin/timeout 60 ../${copper:-copper} doctor "$@" >report 2>&1 || code=$?
	[ $code = $want ] || { echo "$step: exit code $code, want $want"; cat report; exit 1; }
}
# says LEVEL CHECK WORDS: the report, without its columns, has such a line.
says() { sed 's/  */ /g' report | grep -qF -- "$1 $2 $3" || { echo "$step: no line: $1 $2 $3"; cat report; exit 1; }; }
advises() { grep -qF -- "-> $1" report || { echo "$step: no advice: $1"; cat report; exit 1; }; }
never() { if grep -F -- "$1" report; then echo "$step: $1"; exit 1; fi; }

step="a healthy node"
doctor 0 /etc
never "problem  "
says ok device "/dev/fuse can be opened"
says ok fusermount "/usr/bin/fusermount3 is setuid root"
says ok kernel "Linux $(uname -r)"
says ok mpi "this copper was built with Open MPI; its launcher is /usr/bin/mpirun.openmpi"
says ok mounts "no Copper mount of yours"
says ok leftovers "nothing is left"
says ok job "no Copper job is running"
says warning path "/etc is "
[ -z "$(ls -A /tmp)" ] || { echo "left in /tmp: $(ls -A /tmp)"; exit 1; }

step="networks"
says ok network "libfabric 1."
doctor 0 -n ofi+tcp
says ok network "libfabric's provider tcp;ofi_rxm has "
if [ ! -d /sys/class/cxi_user ]; then
	doctor 1 -n cxi1
	says problem network "network cxi1: libfabric 1."
	advises "take -n tcp://hsn1 or, for all interfaces, -n tcp"
fi

step="no device"
umount /dev/fuse
mkdir /mnt/dev
mknod -m 666 /mnt/dev/null c 1 3
mount --bind /mnt/dev /dev
doctor 1
umount /dev
says problem device "/dev/fuse: there is no /dev/fuse"
says ok kernel "Linux $(uname -r); no trial mount"

step="a device for root only"
chmod 600 /mnt/fuse
mount --bind /mnt/fuse /dev/fuse
doctor 1
says problem device "/dev/fuse: /dev/fuse can't be opened for reading and writing (permission denied)"
advises "ask the administrators: chmod 0666 /dev/fuse"
chmod 666 /mnt/fuse

step="no fusermount3"
mount --bind /dev/null /usr/bin/fusermount3
doctor 1
says problem fusermount "fusermount3: fusermount3 is not in PATH"
umount /usr/bin/fusermount3

step="fusermount3 without setuid"
install -m 755 /usr/bin/fusermount3 /mnt/plain
mount --bind /mnt/plain /usr/bin/fusermount3
doctor 1
says problem fusermount "/usr/bin/fusermount3 is not setuid root"
says problem kernel "Linux $(uname -r): a trial mount failed:"
umount /usr/bin/fusermount3

step="the launcher of another MPI"
copper=copper-mpich path=/mnt/other doctor 1
says problem mpi "this copper was built with MPICH, whose launcher is not in PATH; /mnt/other/mpiexec is Open MPI's"

step="a running job"
user ../copper launch --nodes 2 --target /etc -v $PWD/mnt{rank} >/dev/null
doctor 0
never "problem  "
says ok mounts "$PWD/mnt0, rank 0 of job "
says ok job "job $(ls jobs) is ready: 2 of 2 nodes answer"

step="a daemon that is stopped"
user ../copper status --json >status
daemons=$(sed -n 's/.*"pid": \([0-9]*\),/\1/p' status) supervisors=$(sed -n 's/.*"supervisor_pid": \([0-9]*\),/\1/p' status)
set -- $daemons
kill -STOP $2
doctor 1
says problem mounts "$PWD/mnt1, rank 1 of job $(ls jobs), does not answer: its process $2 is stopped"
advises "let it go on (kill -CONT $2)"
says ok mounts "$PWD/mnt0, rank 0 of job $(ls jobs), answers"
says problem job "rank 1 of job $(ls jobs): process $2 is stopped"
says problem job "job $(ls jobs) is ready: 1 of 2 nodes answer"
user ../copper status >report
says rank 1 on "$(hostname -s) has given no answer to rank 0 on $(hostname -s) since 20"
kill -CONT $2

step="daemons that were killed with their supervisors"
kill -STOP $supervisors
kill -KILL $daemons $supervisors
for i in $(seq 1000); do user ls mnt0 mnt1 2>&1 | grep -c 'not connected' | grep -q 2 && break; sleep 0.01; done
doctor 1 $PWD/mnt0/passwd
says problem mounts "$PWD/mnt0, rank 0 of job $(ls jobs), is dead: whoever looks there meets an error"
says problem path "$PWD/mnt0/passwd lies within a Copper mount, $PWD/mnt0, already"

step="the advice was followed"
sed -n 's/.*\(fusermount3 -u -z -- [^ ]*\).*/\1/p' report | while read -r line; do user $line; done
doctor 0
says ok mounts "no Copper mount of yours"
says warning leftovers "rank 0 of job $(ls jobs) was killed and left /tmp/copper-65534/$(ls jobs)/0.json"

step="and so was that"
user ../copper launch --target /etc -v $PWD/mnt >/dev/null
doctor 0
says ok leftovers "nothing is left"
user ../copper stop >/dev/null
`

// TestDoctor: each failure that a user can meet is found, told with its remedy, and the exit code says
// it; nothing hangs, and nothing is left of the asking.
func TestDoctor(t *testing.T) {
	copper, mpich := binary(t, "copper"), binary(t, "copper-mpich")
	if os.Getuid() != 0 {
		t.Skip("needs root to make a node of its own")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private",
		"bash", "-euc", sickNode, "sick-node", copper, mpich)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestDoctorHungDirectory: a file system that answers nothing keeps doctor waiting for a bounded time,
// and is told.
func TestDoctorHungDirectory(t *testing.T) {
	copper := binary(t, "copper")
	t.Parallel()
	dir, server := pfs(t, t.TempDir(), 1)
	if err := server.SetFault(slowfs.Fault{Stall: true}); err != nil {
		t.Fatal(err)
	}
	defer server.ClearFaults()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	path := filepath.Join(dir, "pfs0", "inputs")
	cmd := exec.CommandContext(ctx, copper, "doctor", "--json", "-d", filepath.Join(dir, "jobs"), path)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("%v, want exit code 1", err)
	}
	var d launch.Diagnosis
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		t.Fatalf("%v\n%s", err, stdout.String())
	}
	last := d.Findings[len(d.Findings)-1]
	if last.Check != "path" || last.Level != launch.Problem || !strings.Contains(last.Found, path+" does not answer within") {
		t.Errorf("%+v", last)
	}
}
