package fuse

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store/storetest"
)

// Every request that was counted is told of once, with what came of it.
func TestObserve(t *testing.T) {
	tree := storetest.NewTree(storetest.Memory(t, 64<<20))
	tree.Write("/dir/file", make([]byte, 5000))
	tree.Link("/dir/link", "file")
	var mu sync.Mutex
	told := map[string]uint64{}
	absent, failed, bytes := 0, 0, 0
	statfs := func(string) (unix.Statfs_t, error) { return unix.Statfs_t{}, nil }
	m, mnt := mount(t, Options{Source: tree, StatFS: statfs, Observe: func(a Answer) {
		mu.Lock()
		defer mu.Unlock()
		told[a.Request]++
		if a.Absent {
			if absent++; a.Path != "/dir/none" {
				t.Errorf("absent: %s", a.Path)
			}
		}
		if a.Failed {
			failed++
		}
		bytes += a.Bytes
	}})
	shell(t, `cat "$1/dir/link" >/dev/null; ls -l "$1/dir" >/dev/null; stat -f "$1" >/dev/null; ! test -e "$1/dir/none"`, mnt)
	mu.Lock()
	defer mu.Unlock()
	requests := m.Stats().Requests
	for op, n := range told {
		if requests[op] != n {
			t.Errorf("%s: told of %d, counted %d", op, n, requests[op])
		}
	}
	for _, op := range []string{"LOOKUP", "READLINK", "READ", "READDIR", "STATFS"} {
		if told[op] == 0 {
			t.Errorf("%s: told of none; %v", op, requests)
		}
	}
	if absent == 0 || failed != 0 || bytes != 5000 {
		t.Errorf("%d absent, %d failed, %d bytes", absent, failed, bytes)
	}
}

// Where the kernel keeps nothing, each use of a file is seen, and is answered as ever.
func TestNoKernelCache(t *testing.T) {
	tree := storetest.NewTree(storetest.Memory(t, 64<<20))
	tree.Write("/dir/file", []byte("some content\n"))
	tree.Link("/dir/link", "file")
	m, mnt := mount(t, Options{Source: tree, NoKernelCache: true})
	for range 3 {
		got := newRequests(m, func() {
			if out := shell(t, `cat "$1/dir/link"; ls "$1/dir"; test -e "$1/dir/none" || echo none`, mnt); out != "some content\nfile\nlink\nnone\n" {
				t.Errorf("%q", out)
			}
		})
		for _, op := range []string{"LOOKUP", "READLINK", "READ", "READDIR"} {
			if got[op] == 0 {
				t.Errorf("no %s: %v", op, got)
			}
		}
	}
	if out := shell(t, `python3 -c 'import mmap,sys; f=open(sys.argv[1],"rb"); print(mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ,flags=mmap.MAP_PRIVATE)[:4].decode())' "$1/dir/file"`, mnt); out != "some\n" {
		t.Errorf("mapped: %q", out)
	}
}

// Scripts reach the node's own ioctls on files and directories; all others are refused as ever, at
// once.
func TestIoctl(t *testing.T) {
	tree := storetest.NewTree(storetest.Memory(t, 64<<20))
	tree.Write("/dir/file", nil)
	var mu sync.Mutex
	var asked []uint32
	_, mnt := mount(t, Options{Source: tree, Ioctl: func(number uint32) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, number)
		if number == 100 {
			return nil
		}
		return unix.ENOTTY
	}})
	got := shell(t, `python3 -c '
import fcntl, os, sys
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY)
    for number in 100, 200, 0x5401, 5000:
        try:
            print(fcntl.ioctl(fd, number))
        except OSError as e:
            print(e.errno == 25)
' "$1" "$1/dir" "$1/dir/file"`, mnt)
	if want := strings.Repeat("0\nTrue\nTrue\nTrue\n", 3); got != want {
		t.Errorf("%q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []uint32{100, 200, 100, 200, 100, 200}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}
