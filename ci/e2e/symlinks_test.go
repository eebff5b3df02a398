package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/ci/cluster"
)

// makeEnvironments makes a virtual environment and what conda leaves: links with absolute paths, to a
// program, to a directory, from one environment into another, and some that lead elsewhere.
const makeEnvironments = `
cd "$1"
mkdir -p conda/bin conda/lib conda/envs/e/bin conda/pkgs/z-1.0/lib sub
cp "$(readlink -f /usr/bin/python3)" conda/bin/python3.11
ln -s python3.11 conda/bin/python3
ln -s "$1/conda/bin/python3" conda/bin/python
ln -s "$1/conda/bin/python" conda/envs/e/bin/python
ln -s "$1/conda/lib" conda/lib64
ln -s "$1/conda/lib/" conda/slash
echo 'int z(void) { return 1; }' | gcc -xc -shared -fPIC -o conda/pkgs/z-1.0/lib/libz.so.1.0 -
ln -s "$1/conda/pkgs/z-1.0/lib/libz.so.1.0" conda/lib/libz.so.1
ln -s libz.so.1 conda/lib/libz.so
ln -s "$1/conda/../sub/../conda/bin/python" conda/dots
ln -s "$1" conda/top
ln -s "$1/missing" conda/dangling
ln -s "$1/conda/loop" conda/loop
ln -s /etc/hostname conda/host
ln -s "$1-sibling/x" conda/sibling
ln -s ../../.. conda/up
/usr/bin/python3 -m venv --symlinks --without-pip venv
`

// links are all links below a directory, with their targets, and with the sizes that lstat tells.
func links(t *testing.T, dir string) (targets map[string]string) {
	t.Helper()
	out, err := exec.Command("find", dir, "-type", "l", "-printf", `%P\t%s\t%l\n`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	targets = map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[1] != fmt.Sprint(len(f[2])) {
			t.Errorf("%s/%s: lstat says %s bytes, readlink gives %q", dir, f[0], f[1], f[2])
		}
		targets[f[0]] = f[2]
	}
	return targets
}

// TestSymlinks: an environment that is entered through the mount is not left through its own links.
func TestSymlinks(t *testing.T) {
	target := t.TempDir()
	if out, err := exec.Command("bash", "-euc", makeEnvironments, "make", target).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	other := filepath.Join(target, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	mounted := os.Getuid() == 0 && unix.Mount("none", other, "tmpfs", 0, "size=64k") == nil
	if mounted {
		t.Cleanup(func() {
			if err := unix.Unmount(other, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		for _, link := range [][2]string{{other + "/file", target + "/away"}, {target + "/conda", other + "/away"}, {other, other + "/same"}} {
			if err := os.Symlink(link[0], link[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	native := links(t, target)
	leaves := map[string]bool{"away": true, "other/away": true} // for another file system

	job := start(t, cluster.Options{Nodes: 2, Target: target})
	for node := range job.Nodes {
		mount := job.Mount(node)
		inView := 0
		for name, got := range links(t, mount) {
			want := native[name]
			rest, ok := strings.CutPrefix(want, target)
			if ok && (rest == "" || rest[0] == '/') && !leaves[name] {
				if rest == "" {
					rest = "/"
				}
				want = mount + rest
				inView++
			}
			if got != want {
				t.Errorf("node %d: %s leads to %q, behind the mount to %q, want %q", node, name, got, native[name], want)
			}
		}
		if inView < 9 {
			t.Errorf("node %d: only %d links stay in the view", node, inView)
		}
		for path, want := range map[string]string{
			"/conda/bin/python": "/conda/bin/python3.11", "/conda/envs/e/bin/python": "/conda/bin/python3.11", "/conda/dots": "/conda/bin/python3.11",
			"/conda/lib64/libz.so": "/conda/pkgs/z-1.0/lib/libz.so.1.0", "/conda/slash/libz.so.1": "/conda/pkgs/z-1.0/lib/libz.so.1.0", "/conda/top/venv": "/venv",
		} {
			if out, err := exec.Command("realpath", mount+path).CombinedOutput(); err != nil || string(out) != mount+want+"\n" {
				t.Errorf("realpath %s: %q (%v), want %s", path, out, err, mount+want)
			}
		}
		// What runs is what is in the mount, and so is what it loads.
		script := `import ctypes, os, sys
print(os.readlink("/proc/self/exe"))
ctypes.CDLL(sys.argv[1] + "/conda/lib64/libz.so")
print([l.split()[-1] for l in open("/proc/self/maps") if "libz.so" in l][0])`
		out, err := exec.Command(mount+"/conda/envs/e/bin/python", "-c", script, mount).CombinedOutput()
		if want := mount + "/conda/bin/python3.11\n" + mount + "/conda/pkgs/z-1.0/lib/libz.so.1.0\n"; err != nil || string(out) != want {
			t.Errorf("node %d: %q (%v), want %q", node, out, err, want)
		}
		out, err = exec.Command(mount+"/venv/bin/python", "-c", "import sys; print(sys.prefix)").CombinedOutput()
		if err != nil || string(out) != mount+"/venv\n" {
			t.Errorf("node %d: the virtual environment: %q (%v)", node, out, err)
		}
		for path, want := range map[string]error{"/conda/dangling": unix.ENOENT, "/conda/loop": unix.ELOOP} {
			if _, err := os.Stat(mount + path); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", path, err, want)
			}
		}
	}
}

// TestSymlinksAsTheyAre: as the file system has them.
func TestSymlinksAsTheyAre(t *testing.T) {
	target := t.TempDir()
	if out, err := exec.Command("bash", "-euc", makeEnvironments, "make", target).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	job := start(t, cluster.Options{Nodes: 1, Target: target, Args: []string{"--symlinks", "asis"}})
	native := links(t, target)
	seen := links(t, job.Mount(0))
	if len(seen) != len(native) || len(seen) < 15 {
		t.Errorf("%d links, behind the mount %d", len(seen), len(native))
	}
	for name, got := range seen {
		if got != native[name] {
			t.Errorf("%s leads to %q, behind the mount to %q", name, got, native[name])
		}
	}
}
