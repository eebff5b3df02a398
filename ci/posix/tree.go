package posix

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What Build makes in the directory: copied is what the tools copy, compare and walk through; the
// others are for what they could not stand.
const (
	copied  = "/tree"   // all kinds of files of usual size
	victim  = "/victim" // what the tests try to change
	modes   = "/modes"  // files and directories of all modes
	big     = "/big"    // a sparse file of more than 4 GiB
	bigSize = 5<<30 + 12345
	many    = "/many" // many names
	names   = 3000
	beyond  = "/beyond" // names that no path reaches
	program = "/program"
	repo    = "/repo"
)

// sizes are those around the kernel's and Copper's units.
var sizes = []int{0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 777}

// oddNames are names that programs stumble over, but no file system may.
var oddNames = []string{
	strings.Repeat("n", 255), strings.Repeat("\xff", 255), "\xff\xfe", "new\nline", "tab\tand space ", `quote'"back\slash`, "-rf", "...", "* ?",
	"\u00e9", "e\u0301", "\x01\x7f", "$(id)", ".hidden",
}

// longPath is 3,570 bytes of names below a directory.
var longPath = strings.TrimSuffix(strings.Repeat(strings.Repeat("p", 101)+"/", 35), "/")

// Build fills dir, an existing empty directory.
func Build(t testing.TB, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mkdir := func(path string) string {
		t.Helper()
		must(os.MkdirAll(dir+path, 0o755))
		return dir + path + "/"
	}
	random := rand.New(rand.NewPCG(1, 2))
	write := func(path string, size int) {
		t.Helper()
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		must(os.WriteFile(path, data, 0o644))
	}

	at := mkdir(copied + "/sizes")
	for _, size := range sizes {
		write(fmt.Sprint(at, size), size)
	}
	at = mkdir(copied + "/names")
	for _, name := range oddNames {
		must(os.WriteFile(at+name, []byte(name), 0o644))
	}
	mkdir(copied + "/names/dir\xfe")
	write(mkdir(copied+"/deep"+strings.Repeat("/d", 300))+"file", 10)
	mkdir(copied + "/empty")

	at = mkdir(copied + "/links")
	mkdir(copied + "/links/sub")
	write(at+"hard", 5000)
	must(os.Link(at+"hard", at+"hard2"))
	must(os.Link(at+"hard", at+"sub/hard3"))
	for name, target := range map[string]string{
		"soft": "hard", "up": "../links/sub/hard3", "dangling": "nowhere", "dir": "sub", "loop": "loop",
		"long": strings.Repeat("./", 2000) + "hard", "odd": "new\nline\xff", "etc": "/etc",
	} {
		must(os.Symlink(target, at+name))
	}
	must(unix.Mkfifo(at+"fifo", 0o640))
	holes, err := os.Create(at + "sparse")
	must(err)
	_, err = holes.WriteAt(bytes.Repeat([]byte("x"), 10000), 2<<20)
	must(err)
	must(holes.Truncate(4<<20 + 5))
	must(holes.Close())

	at = mkdir(copied + "/times")
	for i, when := range []time.Time{
		time.Unix(0, 0), time.Unix(1, 999_999_999), time.Unix(-1, 1), time.Unix(1_234_567_890, 123_456_789), time.Unix(1<<31+5, 7), time.Unix(1<<33, 1),
	} {
		write(fmt.Sprint(at, i), 3)
		must(os.Chtimes(fmt.Sprint(at, i), when, when))
	}

	at = mkdir(modes)
	for _, mode := range []uint32{0, 0o100, 0o200, 0o400, 0o444, 0o600, 0o644, 0o755, 0o777, 0o2755, 0o4755, 0o6711} {
		path := fmt.Sprintf("%sf%o", at, mode)
		must(os.WriteFile(path, []byte("#!/bin/sh\necho ran\n"), 0o644))
		must(unix.Chmod(path, mode))
	}
	for _, mode := range []uint32{0o100, 0o400, 0o500, 0o700, 0o1777, 0o2755} {
		path := fmt.Sprintf("%sd%o", at, mode)
		must(os.MkdirAll(path, 0o755))
		write(path+"/file", 1)
		must(unix.Chmod(path, mode))
	}
	if td, ok := t.(*testing.T); ok && os.Geteuid() != 0 {
		td.Cleanup(func() { // so that the directory can be removed
			for _, mode := range []uint32{0o100, 0o400, 0o500} {
				_ = unix.Chmod(fmt.Sprintf("%sd%o", at, mode), 0o700)
			}
		})
	}
	if os.Geteuid() == 0 {
		if err := unix.Mknod(at+"null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Logf("no device file is looked at: %v", err)
		}
	}

	at = mkdir(victim)
	write(at+"file", 5000)
	mkdir(victim + "/dir")
	write(mkdir(victim+"/full")+"file", 10)
	must(os.Symlink("file", at+"link"))
	must(os.Symlink("missing", at+"dangling"))

	f, err := os.Create(dir + big)
	must(err)
	for _, off := range bigData {
		_, err = f.WriteAt(fmt.Appendf(nil, "data at %d", off), off)
		must(err)
	}
	must(f.Truncate(bigSize))
	must(f.Close())

	at = mkdir(many)
	for i := range names {
		must(os.WriteFile(fmt.Sprintf("%s%0*d", at, 1+i%200, i), nil, 0o644))
	}
	write(mkdir("/"+longPath)+"file", 10)
	must(makeBeyond(mkdir(beyond)))

	at = mkdir(program)
	for name, text := range programSources {
		must(os.MkdirAll(filepath.Dir(at+name), 0o755))
		must(os.WriteFile(at+name, []byte(text), 0o644))
	}
	setUp(t, dir)
	settle(t, dir)
}

// bigData are the offsets in bytes at which the big file has data.
var bigData = []int64{0, 1<<32 - 6, 1<<32 + 5, bigSize - 30}

// settle puts all access times into the future, so that looking does not change them, and waits for
// the data to be written, which changes the number of blocks.
func settle(t testing.TB, dir string) {
	t.Helper()
	touch := exec.Command("bash", "-c", `find "$1" -name "${2#/}" -prune -o -exec touch -h -a -d '2 hours' {} +`, "bash", dir, beyond)
	if out, err := touch.CombinedOutput(); err != nil && os.Geteuid() == 0 {
		t.Fatalf("touch: %v: %.1000s", err, out)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		t.Fatal(err)
	}
}
