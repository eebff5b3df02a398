package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func always(e store.Encoding) func() store.Encoding {
	return func() store.Encoding { return e }
}

// text is n bytes that shrink to less than half, no two pieces of which are the same.
func text(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 7))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "def function_%x(self, x, y):\n    return self.method_%d(x) + y\n", random.Uint64(), random.IntN(100))
	}
	return b.Bytes()[:n]
}

// noise is n bytes that don't shrink.
func noise(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 8))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// chain is a node that is root and reader at once.
type chain struct {
	tree     *storetest.Tree
	compress *store.Compress
	store    *store.Store
	expand   *store.Expand
	mem      *store.Memory
}

func newChain(t testing.TB, e store.Encoding, limit int64) *chain {
	c := &chain{mem: storetest.Memory(t, limit)}
	c.tree = storetest.NewTree(c.mem)
	c.compress = store.NewCompress(c.tree, always(e))
	c.store = store.NewStore(c.compress, c.mem)
	c.expand = store.NewExpand(c.store, c.mem)
	return c
}

// empty ends a test: all memory must be free then.
func (c *chain) empty(t testing.TB) {
	t.Helper()
	c.store.Forget("/")
	if u := c.mem.Use(); u.Used != 0 || u.Peak > u.Limit {
		t.Errorf("%d bytes held after all was dropped; peak %d of %d", u.Used, u.Peak, u.Limit)
	}
}

// TestCompressRoundTrip: chunks of every size around those of the blocks of memory come back as
// they were, and those that are long enough are kept encoded.
func TestCompressRoundTrip(t *testing.T) {
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		t.Run(e.String(), func(t *testing.T) {
			c := newChain(t, e, 64<<20)
			sizes := []int{1, 16<<10 - 1, 16 << 10, 128<<10 - 1, 128 << 10, store.ChunkSize + 20000, 2*store.ChunkSize + 1}
			for block := 4 << 10; block <= store.ChunkSize; block *= 2 {
				sizes = append(sizes, block-1, block, block+1)
			}
			ctx := context.Background()
			var encoded int64
			for i, size := range sizes {
				path, want := fmt.Sprintf("/f%d", i), text(size, uint64(i))
				c.tree.Write(path, want)
				f := fileOf(t, c.expand, path)
				for k := range f.Chunks() {
					want := want[k*store.ChunkSize:][:f.ChunkLen(k)]
					kept, err := c.store.ReadChunk(ctx, f, k)
					if err != nil {
						t.Fatal(err)
					}
					if long := len(want) >= 16<<10; (kept.Encoding() == e) != long || (kept.Bytes() == nil) != long {
						t.Errorf("%d bytes are kept as %v", len(want), kept.Encoding())
					} else if long {
						encoded++
						if 2*len(kept.Encoded()) > len(want) || kept.Len() != len(want) || !kept.Intact() {
							t.Errorf("%d bytes are kept in %d, as if they were %d", len(want), len(kept.Encoded()), kept.Len())
						}
					}
					got, err := c.expand.ReadChunk(ctx, f, k)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got.Bytes(), want) || got.CRC() != kept.CRC() || !got.Intact() {
						t.Errorf("%d bytes come back different", len(want))
					}
					got.Release()
					kept.Release()
				}
			}
			if n := c.compress.Counts(); n.Encoded != encoded || n.Skipped != 0 || n.EncodedBytes*2 > n.RawBytes {
				t.Errorf("%d chunks are encoded, and the counts are %+v", encoded, n)
			}
			c.empty(t)
		})
	}
}

// TestCompressSkips: what doesn't shrink by a tenth is left as it is.
func TestCompressSkips(t *testing.T) {
	mixed := noise(100<<10, 1) // shrinks by less than that, and is too short for samples
	copy(mixed[40<<10:], make([]byte, 8<<10))
	samplesOnly := noise(store.ChunkSize, 2)
	clear(samplesOnly[:20<<10])
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		c := newChain(t, e, 64<<20)
		for i, data := range [][]byte{noise(20<<10, 3), noise(store.ChunkSize, 4), mixed, samplesOnly} {
			path := fmt.Sprintf("/f%d", i)
			c.tree.Write(path, data)
			got, err := c.expand.ReadChunk(context.Background(), fileOf(t, c.tree, path), 0)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), data) || !got.Intact() {
				t.Errorf("%v: file %d comes back different", e, i)
			}
			got.Release()
		}
		if n := c.compress.Counts(); n != (store.CompressCounts{Skipped: 4}) || c.expand.Decoded() != 0 {
			t.Errorf("%v: %+v, %d decoded", e, n, c.expand.Decoded())
		}
		c.empty(t)
	}
	c := newChain(t, store.Raw, 64<<20)
	c.tree.Write("/f", text(store.ChunkSize, 5))
	read(t, c.expand, fileOf(t, c.tree, "/f"), 0)
	if n := c.compress.Counts(); n != (store.CompressCounts{}) {
		t.Errorf("nothing was to be encoded: %+v", n)
	}
}

// TestCompressedTakesLess: more data stays in a budget that it doesn't fit as it is.
func TestCompressedTakesLess(t *testing.T) {
	c := newChain(t, store.Zstd, store.MinMemory)
	c.tree.Write("/f", bytes.Repeat(text(60<<10, 6), 1000)) // 57 chunks, which become far smaller
	f := fileOf(t, c.tree, "/f")
	for range 2 {
		for i := range f.Chunks() {
			read(t, c.expand, f, i)
		}
	}
	if n := int64(c.tree.Count("read", "/f")); n != f.Chunks() {
		t.Errorf("%d chunks were read %d times", f.Chunks(), n)
	}
	c.empty(t)
}

func TestCompressConformance(t *testing.T) {
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		t.Run(e.String(), func(t *testing.T) {
			storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
				mem := storetest.Memory(t, 64<<20)
				s := store.NewStore(store.NewCompress(newOrigin(t, dir, mem), always(e)), mem)
				ahead := store.NewReadahead(s, mem)
				t.Cleanup(func() {
					ahead.Close()
					s.Forget("/")
					if u := mem.Use(); u.Used != 0 {
						t.Errorf("%d bytes held after all was dropped", u.Used)
					}
				})
				return store.NewExpand(ahead, mem)
			})
		})
	}
}

// TestCompressBudget: a working set above the budget is read right by many, with the least
// memory that there can be, and the budget holds.
func TestCompressBudget(t *testing.T) {
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		t.Run(e.String(), func(t *testing.T) {
			c := newChain(t, e, store.MinMemory)
			ctx := context.Background()
			var content [40][]byte
			for i := range content {
				if content[i] = text(80_000*(i+1), uint64(i)); i%4 == 0 {
					content[i] = noise(80_000*(i+1), uint64(i))
				}
				c.tree.Write(fmt.Sprintf("/f%02d", i), content[i])
			}
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for n := range 15 {
						i := (n*7 + w*13) % len(content)
						f := fileOf(t, c.expand, fmt.Sprintf("/f%02d", i))
						for k := range f.Chunks() {
							got, err := c.expand.ReadChunk(ctx, f, k)
							if err != nil {
								t.Error(err)
								return
							}
							if !bytes.Equal(got.Bytes(), content[i][k*store.ChunkSize:][:f.ChunkLen(k)]) {
								t.Errorf("f%02d chunk %d: wrong content", i, k)
							}
							got.Release()
						}
					}
				})
			}
			wg.Wait()
			if n := c.compress.Counts(); n.Encoded == 0 || n.Skipped == 0 || c.store.Stats().Evictions == 0 {
				t.Errorf("the test does not test: %+v", n)
			}
			c.empty(t)
		})
	}
}

// TestExpandOnce: who reads a chunk piece by piece, or together with others, has it decoded once.
func TestExpandOnce(t *testing.T) {
	c := newChain(t, store.S2, 64<<20)
	want := text(2*store.ChunkSize, 1)
	c.tree.Write("/f", want)
	f := fileOf(t, c.tree, "/f")
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			for i := range f.Chunks() {
				got, err := c.expand.ReadChunk(context.Background(), f, i)
				if err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(got.Bytes(), want[i*store.ChunkSize:][:store.ChunkSize]) {
					t.Error("wrong content")
				}
				got.Release()
			}
		})
	}
	wg.Wait()
	if n := c.expand.Decoded(); n != f.Chunks() {
		t.Errorf("%d chunks were decoded %d times", f.Chunks(), n)
	}
	c.empty(t)
}

// TestExpandKeepsFew: only the chunks that were decoded last are kept that way.
func TestExpandKeepsFew(t *testing.T) {
	c := newChain(t, store.S2, store.MinMemory) // two
	c.tree.Write("/f", bytes.Repeat([]byte("copper\n"), 6*store.ChunkSize/7+1))
	f := fileOf(t, c.tree, "/f")
	for i := range int64(6) {
		read(t, c.expand, f, i)
	}
	if used := c.mem.Use().Used; used > 3*store.ChunkSize+1<<20 {
		t.Errorf("%d bytes held for two raw chunks and six tiny ones", used)
	}
	for _, i := range []int64{5, 4, 5, 4} {
		read(t, c.expand, f, i)
	}
	if n := c.expand.Decoded(); n != 6 {
		t.Errorf("%d chunks decoded, want 6", n)
	}
	read(t, c.expand, f, 0)
	if n := c.expand.Decoded(); n != 7 {
		t.Errorf("%d chunks decoded, want 7", n)
	}
	c.empty(t)
}

// TestExpandWaitsForMemory: while all memory is in use readers wait; one may leave, the others are
// served when some comes free, and if none does they are told to ask again.
func TestExpandWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, store.S2, store.MinMemory)
		want := text(store.ChunkSize, 1)
		c.tree.Write("/f", want)
		f := fileOf(t, c.tree, "/f")
		kept, err := c.store.ReadChunk(context.Background(), f, 0)
		if err != nil {
			t.Fatal(err)
		}
		var held []*store.Chunk
		for c.mem.Use().Used < store.MinMemory {
			h, err := c.mem.Chunk(context.Background(), store.ChunkSize)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, h)
		}
		// What it took to fill the memory evicted the chunk, so the Store would have to read it again.
		src := fixed{c.store, kept}
		expand := store.NewExpand(src, c.mem)
		ctx, leave := context.WithCancel(context.Background())
		outcome := make(chan error, 20)
		ask := func(ctx context.Context) {
			got, err := expand.ReadChunk(ctx, f, 0)
			if err == nil {
				if !bytes.Equal(got.Bytes(), want) {
					t.Error("wrong content")
				}
				got.Release()
			}
			outcome <- err
		}
		go ask(ctx) // decodes
		synctest.Wait()
		for range 3 {
			go ask(ctx)
			go ask(context.Background())
		}
		synctest.Wait()
		leave()
		for range 4 {
			wantErrno(t, <-outcome, syscall.EINTR)
		}
		synctest.Wait()
		held[0].Release()
		for range 3 {
			if err := <-outcome; err != nil {
				t.Error(err)
			}
		}
		if n := expand.Decoded(); n != 1 {
			t.Errorf("decoded %d times", n)
		}

		kept.Release() // and its raw form with it
		for _, h := range held[1:] {
			h.Release()
		}
		c.empty(t)
	})
}

// TestExpandBusy: when no memory comes free at all, whoever asks is told so in time.
func TestExpandBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, store.S2, store.MinMemory)
		c.tree.Write("/f", text(3*store.ChunkSize, 1))
		f := fileOf(t, c.tree, "/f")
		var kept fixedEach
		var held []*store.Chunk
		for i := range f.Chunks() {
			k, err := c.store.ReadChunk(context.Background(), f, i)
			if err != nil {
				t.Fatal(err)
			}
			kept.chunks, held = append(kept.chunks, k), append(held, k)
		}
		for c.mem.Use().Used < store.MinMemory {
			h, err := c.mem.Chunk(context.Background(), store.ChunkSize)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, h)
		}
		kept.Source = c.store
		expand := store.NewExpand(kept, c.mem)
		var wg sync.WaitGroup
		for i := range f.Chunks() { // one more than there are places
			wg.Go(func() {
				if _, err := expand.ReadChunk(context.Background(), f, i); !errors.Is(err, store.ErrBusy) {
					t.Errorf("%v, want ErrBusy", err)
				}
			})
		}
		wg.Wait()
		for _, h := range held {
			h.Release()
		}
		c.empty(t)
	})
}

// fixed answers with one chunk, whatever the Store does with it.
type fixed struct {
	store.Source
	chunk *store.Chunk
}

func (f fixed) ReadChunk(context.Context, store.File, int64) (*store.Chunk, error) {
	f.chunk.Retain()
	return f.chunk, nil
}

type fixedEach struct {
	store.Source
	chunks []*store.Chunk
}

func (f fixedEach) ReadChunk(_ context.Context, _ store.File, index int64) (*store.Chunk, error) {
	f.chunks[index].Retain()
	return f.chunks[index], nil
}

// TestDamagedChunk: an encoded chunk whose bytes have changed in memory is never taken for the
// file's: it is read again where it can be, else it is an error.
func TestDamagedChunk(t *testing.T) {
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		for _, forget := range []bool{false, true} {
			c := newChain(t, e, 64<<20)
			want := text(store.ChunkSize, 1)
			c.tree.Write("/f", want)
			f := fileOf(t, c.tree, "/f")
			var told []string
			if forget {
				c.expand.OnDamaged = func(path string) {
					told = append(told, path)
					c.store.Forget(path)
				}
			}
			kept, err := c.store.ReadChunk(context.Background(), f, 0)
			if err != nil {
				t.Fatal(err)
			}
			for i := range kept.Encoded() {
				if i%1000 == 999 {
					kept.Encoded()[i] ^= 4
				}
			}
			if kept.Intact() {
				t.Error("the damage does not show")
			}
			kept.Release()
			got, err := c.expand.ReadChunk(context.Background(), f, 0)
			if !forget {
				wantErrno(t, err, syscall.EIO)
			} else if err != nil || !bytes.Equal(got.Bytes(), want) || len(told) != 1 || told[0] != "/f" {
				t.Errorf("%v; told of %q", err, told)
			} else {
				got.Release()
			}
			c.empty(t)
		}
	}
}

// TestEveryBitCounts: whatever changes in encoded data before its own checksum is taken, the file's
// checksum lets no wrong data pass.
func TestEveryBitCounts(t *testing.T) {
	ctx := context.Background()
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		c := newChain(t, e, 64<<20)
		want := text(16<<10, 1)
		c.tree.Write("/f", want)
		f := fileOf(t, c.tree, "/f")
		kept, err := c.store.ReadChunk(ctx, f, 0)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for i := range kept.Encoded() {
			changed, err := c.mem.Chunk(ctx, kept.Len())
			if err != nil {
				t.Fatal(err)
			}
			n := copy(changed.Bytes(), kept.Encoded())
			changed.Bytes()[i] ^= 1 << (i % 8)
			sum := crc32.Checksum(changed.Bytes()[:n], crc32.MakeTable(crc32.Castagnoli))
			if !changed.SealEncoded(e, n, kept.CRC(), sum) {
				t.Fatal("the test's checksum is wrong")
			}
			switch got, err := store.NewExpand(fixed{c.store, changed}, c.mem).ReadChunk(ctx, f, 0); {
			case err != nil:
				wantErrno(t, err, syscall.EIO)
				refused++
			default: // there are bits that mean nothing
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%v: byte %d changed, and wrong data comes out", e, i)
				}
				got.Release()
			}
			changed.Release()
		}
		if n := len(kept.Encoded()); refused < n*9/10 {
			t.Errorf("%v: of %d changes only %d were noticed", e, n, refused)
		}
		kept.Release()
		c.empty(t)
	}
}

// TestReceivedChunk: encoded data that came with its checksums is kept in no more room than it
// needs, and refused if they don't agree.
func TestReceivedChunk(t *testing.T) {
	c := newChain(t, store.S2, 64<<20)
	c.tree.Write("/f", text(store.ChunkSize, 1))
	sent, err := c.store.ReadChunk(context.Background(), fileOf(t, c.tree, "/f"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []bool{false, true} {
		mem := storetest.Memory(t, 64<<20)
		got, err := mem.Chunk(context.Background(), store.ChunkSize)
		if err != nil {
			t.Fatal(err)
		}
		n := copy(got.Bytes(), sent.Encoded())
		if damaged {
			got.Bytes()[n/2] ^= 1
		}
		if ok := got.SealEncoded(sent.Encoding(), n, sent.CRC(), sent.EncodedCRC()); ok == damaged {
			t.Errorf("damaged: %v; accepted: %v", damaged, ok)
		} else if ok && (!bytes.Equal(got.Encoded(), sent.Encoded()) || got.Len() != sent.Len()) {
			t.Error("it changed on its way")
		}
		got.Release()
		if u := mem.Use(); u.Used != 0 {
			t.Errorf("%d bytes held", u.Used)
		}
	}
	sent.Release()
	c.empty(t)
}

// BenchmarkCompress is the rate of encoding and decoding what Python programs load, and what it
// saves, on shared libraries and on Python code of this machine.
func BenchmarkCompress(b *testing.B) {
	for _, kind := range []struct {
		name     string
		patterns []string
	}{
		{"so", []string{"/usr/lib/*-linux-gnu/*.so*"}},
		{"py", []string{"/usr/lib/python3*/*.py", "/usr/lib/python3*/*/*.py", "/usr/lib/python3*/*/*/*.py", "/usr/lib/python3*/*/*/*/*.py"}},
		{"noise", nil},
	} {
		const most = 20 * store.ChunkSize
		var data []byte
		for _, pattern := range kind.patterns {
			files, _ := filepath.Glob(pattern)
			for _, f := range files {
				if content, err := os.ReadFile(f); err == nil && len(data) < most {
					data = append(data, content[:min(len(content), 4*store.ChunkSize)]...)
				}
			}
		}
		if kind.patterns == nil {
			data = noise(most, 1)
		}
		data = data[:min(len(data), most)]
		chunks := int64(len(data) / store.ChunkSize)
		if chunks < 8 { // as many as would stay decoded tell nothing of decoding
			continue
		}
		for _, e := range []store.Encoding{store.S2, store.Zstd} {
			// The Tree's copying is measured along, as the origin's reading would be.
			c := newChain(b, e, 64<<20)
			c.tree.Write("/f", data)
			a, err := c.tree.Stat(b.Context(), "/f", none)
			if err != nil {
				b.Fatal(err)
			}
			f := store.File{Path: "/f", Version: a.Version()}
			run := func(name string, src store.Source) {
				b.Run(fmt.Sprintf("%s/%s/%v", name, kind.name, e), func(b *testing.B) {
					b.SetBytes(store.ChunkSize)
					for i := int64(0); b.Loop(); i++ {
						chunk, err := src.ReadChunk(b.Context(), f, i%chunks)
						if err != nil {
							b.Fatal(err)
						}
						chunk.Release()
					}
					if n := c.compress.Counts(); n.Encoded > 0 {
						b.ReportMetric(float64(n.RawBytes)/float64(n.EncodedBytes), "ratio")
					}
				})
			}
			run("encode", c.compress)
			for i := range chunks { // all from memory from now on
				read, err := c.store.ReadChunk(b.Context(), f, i)
				if err != nil {
					b.Fatal(err)
				}
				read.Release()
			}
			run("decode", c.expand)
		}
	}
}
