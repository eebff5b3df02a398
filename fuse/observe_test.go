package fuse

import (
	"sync"
	"testing"

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
	m, mnt := mount(t, Options{Source: tree, Observe: func(a Answer) {
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
