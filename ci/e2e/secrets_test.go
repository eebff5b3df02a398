package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/copper-hpc/copper/launch"
)

// spy builds ci/spy for OpenMPI, as the Makefile builds copper.
func spy(t *testing.T) string {
	t.Helper()
	flags := func(args ...string) string {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	program := filepath.Join(t.TempDir(), "spy")
	cmd := exec.Command("go", "build", "-tags", "mpi", "-o", program, "../spy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOCACHE="+flags("go", "env", "GOCACHE")+"-openmpi",
		"CGO_CFLAGS=-O2 -g "+flags("mpicc.openmpi", "-showme:compile"), "CGO_LDFLAGS="+flags("mpicc.openmpi", "-showme:link"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// disguises are the ways in which a secret may be written somewhere; the beginning of each will do.
func disguises(secret []byte) map[string][]byte {
	decimal := func(sep string) []byte {
		return []byte(strings.Trim(strings.ReplaceAll(fmt.Sprintf("%d", secret[:10]), " ", sep), "[]"))
	}
	return map[string][]byte{
		"raw":    secret[:16],
		"hex":    []byte(hex.EncodeToString(secret[:16])),
		"HEX":    []byte(strings.ToUpper(hex.EncodeToString(secret[:16]))),
		"base64": []byte(base64.StdEncoding.EncodeToString(secret[:24])), "base64url": []byte(base64.URLEncoding.EncodeToString(secret[:24])),
		"decimal": decimal(" "), "JSON array": decimal(","),
	}
}

// TestSecretStaysSecret: the job's secret is in the daemons' memory and nowhere else: in no process's
// arguments or environment, in no file of the job, and in nothing that copper says, at the highest log
// level and across a restart. And whatever the umask, nobody else may read the job's files.
func TestSecretStaysSecret(t *testing.T) {
	binary(t, "copper")
	program, books := spy(t), newLibrary(t)
	for _, umask := range []int{0, 0o022} {
		t.Run(fmt.Sprintf("umask %04o", umask), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret")
			before := syscall.Umask(umask)
			s := bare(t, "copper", "2", append(smallest, "--target", books.dir, "-l", "5", "-t", "both", ":", "-n", "1", program, file)...)
			syscall.Umask(before)
			secret, err := os.ReadFile(file)
			if err != nil || len(secret) != 32 || os.Remove(file) != nil {
				t.Fatalf("a secret of %d bytes: %v", len(secret), err)
			}
			read := func() {
				for i := range 8 {
					if _, err := books.read(s.Mount(i%2), i); err != nil {
						t.Error(err)
					}
				}
			}
			read()
			n, ok := s.node(1)
			if !ok {
				t.Fatal("rank 1 does not answer")
			}
			kill(t, n.PID, syscall.SIGKILL)
			await(t, "another daemon's mount", func() bool {
				again, ok := s.node(1)
				return ok && again.PID != n.PID && !again.Since.IsZero()
			})
			read()
			if !remembers(t, s, secret) {
				t.Error("the secret that is looked for is not the daemons'")
			}

			id := s.id()
			control := filepath.Join(launch.ControlBases()[0], id)
			job := filepath.Join(s.Dir, "jobs", id)
			shown := map[string][]byte{"what the step said": []byte(s.said())}
			for _, command := range [][]string{{"status"}, {"status", "--json"}, {"doctor", "--json"}} {
				out, _ := s.Run(context.Background(), command[0], command[1:]...) // doctor fails if others' mounts are ill
				shown[fmt.Sprint("copper ", command)] = []byte(out)
			}
			processes := 0
			for _, kind := range []string{"cmdline", "environ"} {
				paths, _ := filepath.Glob("/proc/[0-9]*/" + kind)
				for _, path := range paths {
					if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
						shown[path] = content
						processes++
					}
				}
			}
			files := private(t, job, shown) + private(t, control, shown)
			if processes < 2*6 || files < 8 { // mpirun, two supervisors and two daemons; job.json, logs, sockets…
				t.Errorf("only %d arguments and environments and %d files were looked at", processes, files)
			}
			s.finish()
			files += private(t, job, shown)
			for where, content := range shown {
				for how, text := range disguises(secret) {
					if bytes.Contains(content, text) {
						t.Errorf("the secret is in %s (%s)", where, how)
					}
				}
			}
			t.Logf("looked into %d arguments and environments, %d files", processes, files)
		})
	}
}

// private checks that everything below dir is its owner's alone, adds the content of its files to shown
// and returns how many there are.
func private(t *testing.T, dir string, shown map[string][]byte) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		if d.IsDir() {
			return nil
		}
		files++
		if info.Mode().IsRegular() {
			shown[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// remembers tells whether the daemons hold the secret in memory; true where that may not be looked into.
func remembers(t *testing.T, s *step, secret []byte) bool {
	t.Helper()
	for rank := range s.Nodes {
		n, ok := s.node(rank)
		if !ok {
			return false
		}
		found, err := inMemory(n.PID, secret)
		if errors.Is(err, os.ErrPermission) {
			t.Log("the daemons' memory may not be read here:", err)
			return true
		}
		if err != nil || !found {
			t.Logf("rank %d: %v", rank, err)
			return false
		}
	}
	return true
}

// inMemory looks for secret in the writable memory of a process.
func inMemory(pid int, secret []byte) (bool, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return false, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return false, err
	}
	defer memory.Close()
	buffer := make([]byte, 4<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode, offset, device string
		var inode int
		if _, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &from, &to, &mode, &offset, &device, &inode); err != nil || mode != "rw-p" || inode != 0 {
			continue
		}
		for ; from < to; from += int64(len(buffer) - len(secret)) {
			n, _ := memory.ReadAt(buffer[:min(int64(len(buffer)), to-from)], from)
			if bytes.Contains(buffer[:n], secret) {
				return true, nil
			}
		}
	}
	return false, nil
}

// otherUsers plays, on a node of its own, a job of an ordinary user and somebody else, who tries to reach
// it. $1 is copper.
const otherUsers = `
mount -t tmpfs -o mode=755 none /mnt
install -m 755 $1 /mnt
mount -t tmpfs -o mode=1777 none /tmp
mknod -m 666 /mnt/fuse c 10 229
mount --bind /mnt/fuse /dev/fuse
install -d -o nobody -g nogroup /mnt/home
cd /mnt/home
umask 0
as() { setpriv --reuid=$1 --regid=$1 --clear-groups env -i PATH=/usr/bin:/bin HOME=$PWD USER=$1 COPPER_DIR=$PWD/jobs "${@:2}"; }
me=65534 other=1
as $me ../copper launch --target /etc -v $PWD/mnt -l 5 >/dev/null
id=$(ls jobs)
socket=/tmp/copper-$me/$id/0.sock
ask='import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect(sys.argv[1])
try:
    s.sendall(b"{\"version\":1,\"op\":\"status\"}")
    s.shutdown(socket.SHUT_WR)
    print("answer:", s.recv(100))
except ConnectionError as e:
    print("answer:", e)'
as $me python3 -c "$ask" $socket | grep -q 'answer: .*version' || { echo "the user gets no answer"; exit 1; }
for path in $socket jobs/$id/job.json jobs/$id/logs/* mnt/passwd; do
	if as $other cat $path 2>error; then echo "$path can be read"; exit 1; fi
	grep -q 'Permission denied' error || { echo "$path: $(cat error)"; exit 1; }
done
as $other python3 -c "$ask" $socket 2>&1 | grep -q PermissionError || { echo "the socket can be reached"; exit 1; }
# Even where somebody opens the way, the daemon looks who comes.
chmod 755 /tmp/copper-$me /tmp/copper-$me/$id
chmod 666 $socket
if as $other python3 -c "$ask" $socket | tee answer | grep version; then echo "a stranger is answered"; exit 1; fi
grep -q answer: answer || { echo "the stranger did not get as far as to ask"; exit 1; }
for i in $(seq 500); do grep -qs 'refused.*user 1' jobs/$id/logs/* && break; sleep 0.01; done
grep -qs 'refused.*user 1' jobs/$id/logs/* || { echo "the log does not tell of the stranger"; exit 1; }
chmod 700 /tmp/copper-$me /tmp/copper-$me/$id
as $me ../copper stop >/dev/null
`

// TestOtherUsers: nobody else reaches the control socket, the job's files or the mount, and where somebody
// gets as far as to the socket, the daemon does not answer.
func TestOtherUsers(t *testing.T) {
	copper := binary(t, "copper")
	if os.Getuid() != 0 {
		t.Skip("needs root to become two users")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private",
		"bash", "-euc", otherUsers, "other-users", copper)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
