package fuse

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestPush: when a file has been read in two places, all of it is in the page cache before
// anybody asks, and it is the right content. One that is read from its front is not pushed.
func TestPush(t *testing.T) {
	tree := newTree(t)
	data := make([]byte, 8*store.ChunkSize+12345)
	for i := range data {
		data[i] = byte(i>>12 + i)
	}
	tree.Write("/library.so", data)
	tree.Write("/data", data)
	m, mnt := mount(t, Options{Source: tree})
	shell(t, `cat "$1/data" >/dev/null`, mnt)
	if n := m.Stats().PushedBytes; n > 0 {
		t.Errorf("%d bytes pushed of a file that is read from its front", n)
	}
	shell(t, `dd if="$1/library.so" bs=4096 count=1 status=none; dd if="$1/library.so" bs=4096 skip=1000 count=1 status=none`, mnt)
	eventually(t, "it is pushed", func() bool { return m.Stats().PushedBytes == uint64(len(data)) })
	before := m.Stats().Requests["READ"]
	// In place of 65 READs. (Some kernels give up idle pages by themselves, which are read again.)
	cmd := exec.Command("cmp", mnt+"/library.so", "-")
	cmd.Stdin = bytes.NewReader(data)
	run(t, cmd)
	if more := m.Stats().Requests["READ"] - before; more > 8 {
		t.Errorf("%d READs of a file that was pushed", more)
	}
}

// TestPushStopsWithTheMount: a push that waits for the Source does not keep the mount from going.
func TestPushStopsWithTheMount(t *testing.T) {
	tree := newTree(t)
	tree.Write("/f", bytes.Repeat([]byte("x"), 4*store.ChunkSize))
	m, mnt := mount(t, Options{Source: stallAfter{tree, 2}})
	shell(t, `dd if="$1/f" bs=4096 count=1 status=none; dd if="$1/f" bs=4096 skip=400 count=1 status=none`, mnt)
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	m.Wait()
}

// stallAfter answers for the first chunks and then not until the caller leaves.
type stallAfter struct {
	store.Source
	chunks int64
}

func (s stallAfter) ReadChunk(ctx context.Context, f store.File, index int64) (*store.Chunk, error) {
	if index >= s.chunks {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Source.ReadChunk(ctx, f, index)
}

func BenchmarkColdRead(b *testing.B) {
	for way, script := range map[string]string{
		"sequential": `cat "$1/f" >/dev/null`,
		"mapped": `exec /usr/bin/python3 -c 'import mmap,random,sys
f=open(sys.argv[1]+"/f","rb"); m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ); r=random.Random(1)
for i in r.sample(range(len(m)//4096),len(m)//4096//4): m[i*4096]' "$1"`,
	} {
		for _, pushed := range []bool{false, true} {
			benchmarkColdRead(b, fmt.Sprintf("%s/push=%v", way, pushed), script, pushed)
		}
	}
}

func benchmarkColdRead(b *testing.B, name, script string, pushed bool) {
	b.Run(name, func(b *testing.B) {
		const size = 48 << 20
		mem := storetest.Memory(b, 256<<20)
		tree := storetest.NewTree(mem)
		tree.Write("/f", make([]byte, size))
		s := store.NewStore(tree, mem)
		m, mnt := mount(b, Options{Source: s})
		if !pushed {
			for range pushesAtOnce {
				m.fs.pusher.slots <- struct{}{}
			}
		}
		shell(b, `cat "$1/f" >/dev/null`, mnt)
		b.SetBytes(size)
		b.ResetTimer()
		for range b.N {
			b.StopTimer()
			m.ChangedAll()
			flush(b, m)
			b.StartTimer()
			shell(b, script, mnt)
		}
		b.StopTimer()
		b.ReportMetric(float64(m.Stats().Requests["READ"])/float64(b.N), "READs/op")
	})
}
