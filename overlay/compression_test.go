package overlay

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		now   store.Encoding
		share float64
		want  store.Encoding
	}{
		{store.Raw, math.Inf(1), store.Raw},
		{store.Raw, 3e9, store.Raw},
		{store.Raw, 1e9, store.Raw},
		{store.Raw, 700e6, store.S2},
		{store.Raw, 100e6, store.S2},
		{store.Raw, 70e6, store.Zstd},
		{store.Raw, 0, store.Zstd},
		{store.S2, 1e9, store.S2},
		{store.S2, 1300e6, store.Raw},
		{store.S2, 100e6, store.S2},
		{store.S2, 70e6, store.Zstd},
		{store.Zstd, 100e6, store.Zstd},
		{store.Zstd, 130e6, store.S2},
		{store.Zstd, 1e9, store.Raw},
	} {
		if got := decide(c.now, c.share); got != c.want {
			t.Errorf("%v at %.0f MB/s: %v, want %v", c.now, c.share/1e6, got, c.want)
		}
	}
}

func TestCompressionModes(t *testing.T) {
	for i, mode := range CompressionModes {
		c, err := NewCompression(mode)
		if err != nil {
			t.Fatal(err)
		}
		want := store.Encoding(max(i-1, 0))
		if s := c.Stats(); s != (CompressionStats{Mode: mode, Decision: want}) || c.Encoding() != want {
			t.Errorf("%s: %+v", mode, s)
		}
		c.sent(1<<30, time.Minute)
		if got := c.Encoding(); mode != "auto" && got != want || mode == "auto" && got != store.Zstd {
			t.Errorf("%s on a narrow link: %v", mode, got)
		}
	}
	_, err := NewCompression("gzip")
	if err == nil {
		t.Fatal("gzip is accepted")
	}
	for _, mode := range append(CompressionModes, "gzip") {
		if !strings.Contains(err.Error(), mode) {
			t.Errorf("%v: does not name %s", err, mode)
		}
	}
}

// TestCompressionSettles: a decision is made on enough bytes, changes only after as many again, and
// follows what the link does now.
func TestCompressionSettles(t *testing.T) {
	c, err := NewCompression("auto")
	if err != nil {
		t.Fatal(err)
	}
	const rate = 500e6
	write := func(bytesPerSecond float64, n, times int) {
		for range times {
			c.sent(int64(n), time.Duration(float64(n)/bytesPerSecond*1e9))
		}
	}
	write(1e6, leastMeasured-1, 1000)
	if s := c.Stats(); s.Share != 0 {
		t.Errorf("small writes tell of the link: %+v", s)
	}
	write(rate, 1<<20, settling>>20-1)
	if c.Encoding() != store.Raw {
		t.Error("decided on too little")
	}
	write(rate, 1<<20, 1)
	if s := c.Stats(); s.Decision != store.S2 || math.Abs(float64(s.Share)-rate) > rate/1000 {
		t.Errorf("%+v", s)
	}
	write(5e9, 1<<20, settling>>20-1)
	if c.Encoding() != store.S2 {
		t.Error("changed its mind too early")
	}
	write(5e9, 1<<20, 200)
	if s := c.Stats(); s.Decision != store.Raw || s.Share < 3e9 {
		t.Errorf("the link is wide now: %+v", s)
	}
}

// TestLoopbackIsNoLink: what children on this host take is no measure.
func TestLoopbackIsNoLink(t *testing.T) {
	c, err := NewCompression("auto")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := TCP{}.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := TCP{}.Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	near, _ := NewVirtual().pair(endpointAddr("a"), endpointAddr("b"), nil, nil)
	for _, test := range []struct {
		conn    net.Conn
		channel channel
		want    *Compression
	}{
		{conn, bulk, nil}, {near, bulk, c}, {near, small, nil}, {near, control, nil},
	} {
		if got := c.measured(test.conn, test.channel); got != test.want {
			t.Errorf("%v on %v: %p", test.conn.RemoteAddr(), test.channel, got)
		}
	}
	if (*Compression)(nil).measured(near, bulk) != nil {
		t.Error("nothing measures")
	}
}

func TestDecodeForm(t *testing.T) {
	const room = 1000
	for _, c := range []struct {
		encoding store.Encoding
		length   int
		ok       bool
	}{
		{store.Raw, room, true},
		{store.Raw, room - 1, false},
		{store.Raw, room + 1, false},
		{store.S2, 1, true},
		{store.Zstd, room - 1, true},
		{store.S2, room, false},
		{store.S2, 0, false},
		{store.S2, -1, false},
		{store.Encodings, room / 2, false},
		{0xff, room, false},
	} {
		f := chunkForm{encoding: c.encoding, crc: 0x01020304, sum: 0xa0b0c0d0}
		got, err := decodeForm(f.append(nil), c.length, room)
		if got != f || (err == nil) != c.ok {
			t.Errorf("%+v of %d bytes becomes %+v, %v", f, c.length, got, err)
		}
	}
	if b := (chunkForm{}).append(nil); len(b) != chunkHeader {
		t.Errorf("%d bytes", len(b))
	}
}

// code is n bytes that shrink as Python code does.
func code(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "def function_%x(self, x, y):\n    return self.method_%d(x) + y\n", random.Uint32(), random.IntN(100))
	}
	return b.Bytes()[:n]
}

// compressing is a plan in which every member encodes what it reads from the PFS.
type compressing struct {
	plan
	compress map[*member]*store.Compress
}

func compressed(p plan, e store.Encoding) *compressing {
	c := &compressing{plan: p, compress: map[*member]*store.Compress{}}
	origin := p.origin
	c.origin = func(m *member) store.Source {
		c.compress[m] = store.NewCompress(origin(m), func() store.Encoding { return e })
		return c.compress[m]
	}
	return c
}

// readAll reads a file through a Source and holds it against what it should be.
func readAll(t testing.TB, src store.Source, file store.File, want []byte) {
	t.Helper()
	for i := range file.Chunks() {
		chunk, err := src.ReadChunk(t.Context(), file, i)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(chunk.Bytes(), want[i*store.ChunkSize:][:file.ChunkLen(i)]) || !chunk.Intact() {
			t.Errorf("chunk %d has wrong content", i)
		}
		chunk.Release()
	}
}

// TestCompressedOnce: along a chain a chunk is encoded by the root, kept and sent on like that, and
// decoded by who wants to read it; fewer bytes are sent, which the counters show.
func TestCompressedOnce(t *testing.T) {
	want := code(3*store.ChunkSize + 77777)
	sent := map[store.Encoding]int64{}
	for _, e := range []store.Encoding{store.Raw, store.S2, store.Zstd} {
		tree, origin := pfs(t, 1)
		tree.Write("/big", want)
		p := compressed(plan{nodes: 3, fanout: 1, origin: origin}, e)
		c := start(t, p.plan)
		middle, leaf := c.at(0, 1), c.at(0, 2)
		file := store.File{Path: "/big", Version: leaf.stat(t, "/big").Version()}
		for range 2 { // of which the second changes nothing
			for _, m := range c.members {
				readAll(t, store.NewExpand(m.store, m.mem), file, want)
			}
		}
		var n store.CompressCounts
		for _, x := range p.compress {
			n.Encoded += x.Counts().Encoded
			n.EncodedBytes += x.Counts().EncodedBytes
		}
		if times := int64(tree.Count("read", "/big")); times != file.Chunks() || e != store.Raw && n.Encoded != times {
			t.Errorf("%v: %d chunks were read %d times and encoded %d times", e, file.Chunks(), times, n.Encoded)
		}
		for i := range file.Chunks() {
			kept, err := middle.store.ReadChunk(t.Context(), file, i)
			if err != nil {
				t.Fatal(err)
			}
			if kept.Encoding() != e || kept.Len() != file.ChunkLen(i) {
				t.Errorf("%v: chunk %d is kept as %v of %d bytes", e, i, kept.Encoding(), kept.Len())
			}
			kept.Release()
		}
		in, up, out := leaf.Stats().Trees[0].BytesIn, middle.Stats().Trees[0], c.at(0, 0).Stats().Trees[0].BytesOut
		if up.BytesOut != in || up.BytesIn != out {
			t.Errorf("%v: the root sent %d, the middle got %d and sent %d, the leaf got %d", e, out, up.BytesIn, up.BytesOut, in)
		}
		sent[e] = in
		for _, m := range c.members {
			if u := m.mem.Use(); u.Peak > u.Limit {
				t.Errorf("%v: peak %d above the limit %d", e, u.Peak, u.Limit)
			}
		}
	}
	if sent[store.Raw] < int64(len(want)) || sent[store.S2] > sent[store.Raw]/2 || sent[store.Zstd] >= sent[store.S2] {
		t.Errorf("bytes sent: %v", sent)
	}
}

// TestDamageAtRelay: a bit of an encoded chunk changes in the memory of a node on the way. Its child
// notices, keeps nothing of it and gets the data from elsewhere.
func TestDamageAtRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := code(store.ChunkSize)
		for _, e := range []store.Encoding{store.S2, store.Zstd} {
			tree, origin := pfs(t, 1)
			tree.Write("/big", want)
			c := start(t, compressed(plan{nodes: 3, fanout: 1, origin: origin}, e).plan)
			middle, leaf := c.at(0, 1), c.at(0, 2)
			file := store.File{Path: "/big", Version: leaf.stat(t, "/big").Version()}
			chunk, err := middle.store.ReadChunk(t.Context(), file, 0)
			if err != nil {
				t.Fatal(err)
			}
			chunk.Encoded()[len(chunk.Encoded())/2] ^= 1
			chunk.Release()
			readAll(t, store.NewExpand(leaf.store, leaf.mem), file, want)
			if s := leaf.Stats(); s.Failovers != 1 || s.Direct != 0 || s.Suspects != 1 {
				t.Errorf("%v: stats after a damaged chunk: %+v", e, s)
			}
		}
	})
}

func TestCompressedConformance(t *testing.T) {
	for _, e := range []store.Encoding{store.S2, store.Zstd} {
		for name, p := range map[string]plan{
			"memory": {}, "tcp": {endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return TCP{} }},
		} {
			t.Run(fmt.Sprintf("%v/%s", e, name), func(t *testing.T) {
				storetest.RunConformance(t, func(t *testing.T, dir string) store.Source {
					p := p
					p.nodes, p.fanout = 3, 1
					p.origin = func(m *member) store.Source {
						origin, err := store.NewOrigin(dir, m.mem, store.OriginOptions{NegativeLifetime: storetest.Lifetime})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = origin.Close() })
						return origin
					}
					leaf := start(t, compressed(p, e).plan).at(0, 2)
					return store.NewExpand(leaf.store, leaf.mem)
				})
			})
		}
	}
}

// TestAutoCompression: on narrow links chunks are compressed after a while, on wide ones they never
// are.
func TestAutoCompression(t *testing.T) {
	for _, c := range []struct {
		bandwidth float64 // bytes per second, for two children
		want      store.Encoding
	}{
		{10e9, store.Raw}, {500e6, store.S2}, {50e6, store.Zstd},
	} {
		t.Run(c.want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := code(20 * store.ChunkSize)
				tree, origin := pfs(t, 1)
				network := NewVirtualNetwork(Wire{Latency: 10 * time.Microsecond, Bandwidth: c.bandwidth})
				hosts := map[int]Transport{}
				root, err := NewCompression("auto")
				if err != nil {
					t.Fatal(err)
				}
				var x *store.Compress
				cluster := start(t, plan{
					nodes: 3, fanout: 2,
					transport: func(rank int) Transport {
						if hosts[rank] == nil {
							hosts[rank] = network.Host()
						}
						return hosts[rank]
					},
					origin: func(m *member) store.Source {
						if x != nil {
							return origin(m)
						}
						x = store.NewCompress(origin(m), root.Encoding) // of the first, which is the root
						return x
					},
					config: func(cfg *Config) {
						if cfg.Self == 0 {
							cfg.Compression = root
						}
					},
				})
				for pass := range 3 {
					path := fmt.Sprintf("/big%d", pass)
					tree.Write(path, want)
					var wg sync.WaitGroup
					for child := 1; child <= 2; child++ {
						m := cluster.at(0, child)
						file := store.File{Path: path, Version: m.stat(t, path).Version()}
						ahead := store.NewReadahead(m.store, m.mem)
						wg.Go(func() {
							readAll(t, store.NewExpand(ahead, m.mem), file, want)
							ahead.Close()
						})
					}
					wg.Wait()
				}
				s := root.Stats()
				if s.Decision != c.want || s.Share < int64(c.bandwidth/3) {
					t.Errorf("%+v", s)
				}
				if n := x.Counts(); (n.Encoded == 0) != (c.want == store.Raw) || n.Skipped != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// BenchmarkChain is the rate at which a file comes from the PFS, which is memory here, through a
// root and a node on the way to a third over TCP, by how it is encoded and by what each link carries.
func BenchmarkChain(b *testing.B) {
	const chunks = 32
	data := libraries(chunks * store.ChunkSize)
	for _, rate := range []int64{0, 1000, 500, 100} { // MB/s
		for e := range store.Encodings {
			b.Run(fmt.Sprintf("link=%d/%v", rate, e), func(b *testing.B) {
				tree, origin := pfs(b, 1)
				tree.Write("/big", data)
				network := &paced{rate: rate * 1e6}
				c := start(b, compressed(plan{
					nodes: 3, fanout: 1, origin: origin,
					endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return network },
				}, e).plan)
				leaf := c.at(0, 2)
				src := store.NewExpand(leaf.store, leaf.mem)
				file := store.File{Path: "/big", Version: leaf.stat(b, "/big").Version()}
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					for _, m := range c.members {
						m.store.Forget("/")
					}
					next := make(chan int64, chunks)
					for i := range int64(chunks) {
						next <- i
					}
					close(next)
					var wg sync.WaitGroup
					for range 8 { // as readahead would ask
						wg.Go(func() {
							for i := range next {
								chunk, err := src.ReadChunk(context.Background(), file, i)
								if err != nil {
									b.Error(err)
									return
								}
								chunk.Release()
							}
						})
					}
					wg.Wait()
				}
				in := leaf.Stats().Trees[0].BytesIn
				b.ReportMetric(float64(in)/float64(b.N)/float64(len(data)), "sent/B")
			})
		}
	}
}

// libraries is n bytes of this machine's shared libraries, or what is like them.
func libraries(n int) []byte {
	var data []byte
	files, _ := filepath.Glob("/usr/lib/*-linux-gnu/*.so*")
	for _, f := range files {
		if content, err := os.ReadFile(f); err == nil && len(data) < n {
			data = append(data, content...)
		}
	}
	if len(data) < n {
		data = append(data, code(n)...)
	}
	return data[:n]
}

// paced is TCP whose connections carry at most rate bytes per second each way.
type paced struct {
	TCP
	rate int64 // 0: no limit
}

func (p *paced) Listen(endpoint string) (net.Listener, error) {
	ln, err := p.TCP.Listen(endpoint)
	return pacedListener{ln, p.rate}, err
}

type pacedListener struct {
	net.Listener
	rate int64
}

func (l pacedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.rate == 0 {
		return conn, err
	}
	return &pacedConn{Conn: conn, rate: l.rate}, nil
}

type pacedConn struct {
	net.Conn
	rate int64
	free time.Time // when what was written has left; writes come one after the other
}

func (c *pacedConn) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		var n int
		n, err = c.Conn.Write(p[:min(len(p), 256<<10)])
		p, written = p[n:], written+n
		now := time.Now()
		if c.free.Before(now) {
			c.free = now
		}
		c.free = c.free.Add(time.Duration(int64(n) * int64(time.Second) / c.rate))
		time.Sleep(c.free.Sub(now) - time.Millisecond) // a millisecond's worth is under way
	}
	return written, err
}
