package fuse

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/copper-hpc/copper/store"
)

func TestPreload(t *testing.T) {
	tree := newTree(t)
	data := make([]byte, 3*store.ChunkSize+12345)
	for i := range data {
		data[i] = byte(i>>12 + i)
	}
	tree.Write("/d/f", data)
	m, mnt := mount(t, Options{Source: tree})
	if n, err := m.Preload(t.Context(), "/d/f", 0); n != 0 || err != nil {
		t.Errorf("%d bytes, %v of a file that the kernel does not know", n, err)
	}
	shell(t, `stat "$1/d/f" >/dev/null`, mnt)
	for index, want := range []int{store.ChunkSize, store.ChunkSize, store.ChunkSize, 12345, 0} {
		if n, err := m.Preload(t.Context(), "/d/f", int64(index)); n != want || err != nil {
			t.Fatalf("chunk %d: %d bytes, %v; want %d", index, n, err, want)
		}
	}
	cmd := exec.Command("cmp", mnt+"/d/f", "-")
	cmd.Stdin = bytes.NewReader(data)
	run(t, cmd)
	// In place of 25. (Some kernels give up idle pages by themselves, which are read again.)
	if n := m.Stats().Requests["READ"]; n > 4 {
		t.Errorf("%d READs of a file that was there", n)
	}
}
