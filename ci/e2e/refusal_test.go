package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMachineWithoutFUSE: what the machine lacks is said in one line, exit 2, and nothing is left.
func TestMachineWithoutFUSE(t *testing.T) {
	copper := binary(t, "copper")
	if os.Getuid() != 0 {
		t.Skip("needs root to take things away from a mount namespace")
	}
	for name, c := range map[string]struct{ script, want string }{
		"no device": {`
mount -t tmpfs -o mode=755 none /dev
mkdir -m 1777 /dev/shm
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/urandom c 1 9
exec $1 launch --nodes 2 --target /etc -v $2/mnt{rank} -d $2/jobs`, "/dev/fuse"},
		"no fusermount3": {`
mknod -m 666 $2/fuse c 10 229
mount --bind $2/fuse /dev/fuse
install -m 755 $1 $2/copper
mount --bind /dev/null $(command -v fusermount3)
install -d -o nobody $2/home
cd $2/home
exec setpriv --reuid=nobody --regid=nogroup --clear-groups env -i PATH=/usr/bin:/bin HOME=$PWD USER=nobody \
  ../copper launch --nodes 2 --target /etc -v $PWD/mnt{rank} -d $PWD/jobs`, "fusermount3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "bash", "-euc", c.script, "x", copper, dir)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("%v, want exit 2", err)
			}
			var said []string
			for line := range strings.Lines(stderr.String()) {
				if strings.Contains(line, c.want) {
					said = append(said, line)
				}
			}
			if len(said) != 1 {
				t.Errorf("%d lines name %s, want one:\n%s", len(said), c.want, stderr.String())
			}
		})
	}
}
