package overlay

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
)

// TestHostilePeer: some who know the secret do all they can to two nodes of a chain, while the others
// read through these: whatever they read is right, no node exceeds its budget, and in the end
// nothing is held for anybody.
func TestHostilePeer(t *testing.T) {
	tcp := plan{endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return TCP{} }}
	t.Run("plain", func(t *testing.T) { hostilities(t, tcp) })
	t.Run("encrypted", func(t *testing.T) {
		tcp.config = func(cfg *Config) { cfg.Encrypt = true }
		hostilities(t, tcp)
	})
	t.Run("libfabric", func(t *testing.T) { hostilities(t, overFabric(t, fabricNet)) })
}

func hostilities(t *testing.T, p plan) {
	const files, nodes = 12, 5
	passes := 3
	if raced || testing.Short() {
		passes = 1
	}
	dir := t.TempDir()
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 3<<20+i) }
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), content(i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.nodes, p.trees, p.fanout = nodes, 1, 1
	p.origin = func(m *member) store.Source {
		origin, err := store.NewOrigin(dir, m.mem, store.OriginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = origin.Close() })
		return origin
	}
	c := start(t, p)
	for _, m := range c.members {
		m.Handle(func(_ context.Context, req []byte) ([]byte, error) { return req, nil }, newLines)
	}
	version := c.at(0, 0).stat(t, "/f0").Version()

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ctx, stop := context.WithCancel(t.Context())
	var hostile, readers sync.WaitGroup
	var misused atomic.Int64
	for i := range 6 {
		hostile.Go(func() {
			h := hostility{t, c, rand.New(rand.NewPCG(seed, uint64(i))), version, &misused}
			for ctx.Err() == nil {
				h.connect(ctx, c.at(0, nodes-1), c.at(0, i%2))
			}
		})
	}
	for position := 2; position < nodes; position++ {
		readers.Go(func() {
			m := c.at(0, position)
			for range passes {
				for i := range files {
					path := fmt.Sprint("/f", i)
					attr, err := m.store.Stat(t.Context(), path, store.Version{})
					if err != nil {
						t.Error(err)
						return
					}
					if got := readFile(t, m, store.File{Path: path, Version: attr.Version()}); !bytes.Equal(got, content(i)) {
						t.Errorf("%s: %d bytes, which are wrong", path, len(got))
					}
				}
				m.forget()
			}
		})
	}
	readers.Wait()
	stop()
	hostile.Wait()
	if t.Logf("%d connections were misused", misused.Load()); misused.Load() == 0 {
		t.Error("nobody was hostile")
	}
	for _, m := range c.members {
		if use := m.mem.Use(); use.Peak > use.Limit {
			t.Errorf("rank %d used %d bytes of %d", m.self, use.Peak, use.Limit)
		}
		s := m.Stats()
		t.Logf("rank %d: %d failovers, %d read directly", m.self, s.Failovers, s.Direct)
	}
}

// readFile reads a file through the member's store, and again where its memory is full.
func readFile(t *testing.T, m *member, file store.File) (data []byte) {
	for i := range file.Chunks() {
		chunk, err := m.store.ReadChunk(t.Context(), file, i)
		for tries := 0; err == store.ErrBusy && tries < 10; tries++ { //nolint:errorlint // it comes unwrapped
			chunk, err = m.store.ReadChunk(t.Context(), file, i)
		}
		if err != nil {
			t.Error(err)
			return nil
		}
		data = append(data, chunk.Bytes()...)
		chunk.Release()
	}
	return data
}

// hostility is one who knows the secret and means no good.
type hostility struct {
	t       *testing.T
	cluster *cluster
	rand    *rand.Rand
	version store.Version
	misused *atomic.Int64 // connections
}

// connect makes a connection in the name of as, and misuses it.
func (h hostility) connect(ctx context.Context, as, to *member) {
	conn, err := to.transport.Dial(ctx, to.nodes[to.self].Endpoints[0])
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Duration(1+h.rand.IntN(200)) * time.Millisecond))
	me := as.hello(to.self, 0, channel(h.rand.IntN(int(channels))))
	if h.rand.IntN(10) == 0 {
		_, _ = conn.Write(me.append(nil, newNonce())[:h.rand.IntN(helloSize)])
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	open, session, err := introduce(conn, &as.secret, me)
	if err != nil {
		return
	}
	h.misused.Add(1)
	var said []byte
	for range 1 + h.rand.IntN(100) {
		said = append(said, h.frame(me.channel, session)...)
	}
	if h.rand.IntN(4) == 0 {
		said[h.rand.IntN(len(said))] ^= 1 << h.rand.IntN(8)
	}
	go func() {
		if _, err := open.Write(said); err != nil {
			_ = conn.Close()
		}
	}()
	if h.rand.IntN(2) == 0 {
		_, _ = io.Copy(io.Discard, open)
		return
	}
	_ = sleep(ctx, time.Duration(h.rand.IntN(100))*time.Millisecond) // it reads nothing
}

// frame is mostly a request that could be meant.
func (h hostility) frame(on channel, session uint64) []byte {
	path := fmt.Sprint("/f", h.rand.IntN(15))
	if h.rand.IntN(5) == 0 {
		path = []string{"/", "/../f0", "//", "/f0/x", "/f\x00", strings.Repeat("/n", 3000)}[h.rand.IntN(6)]
	}
	version := h.version
	switch h.rand.IntN(6) {
	case 0:
		version = store.Version{Dev: h.rand.Uint64(), Size: h.rand.Int64()}
	case 1:
		version.Size <<= h.rand.IntN(40)
	}
	q := map[channel][]request{
		small: {statRequest(path, version), statRequest(path, store.Version{}), readLinkRequest(path)},
		bulk: {
			readChunkRequest(store.File{Path: path, Version: version}, h.rand.Int64N(5)-1),
			{kind: kindList, path: path, version: version},
		},
		control: {{kind: kindControl, patience: time.Duration(h.rand.Int64()), body: make([]byte, h.rand.IntN(1<<16))}},
	}[on]
	one := q[h.rand.IntN(len(q))]
	payload := one.append(nil)
	header := header{kind: one.kind, length: len(payload), id: h.rand.Uint64N(200), session: session}
	switch h.rand.IntN(40) {
	case 0:
		header.kind = kind(h.rand.IntN(256))
	case 1:
		header.length = int(h.rand.Uint32())
	case 2:
		header.session--
	case 3, 4:
		header.kind, header.length, payload = kindCancel, 0, nil
	case 5, 6:
		header.kind, header.length, payload = kindPing, 0, nil
	case 7:
		header.flags = byte(h.rand.IntN(256))
	}
	return append(header.append(nil), payload...)
}

// log is a log that tests look into.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

// TestSecretIsNotLogged: all that can happen to an overlay happens, at debug level, and no piece of the
// secret is in the log, in whatever form.
func TestSecretIsNotLogged(t *testing.T) {
	var secret [32]byte
	for i := range secret {
		secret[i] = byte(rand.N(156) + 100) // three digits each, so that none is a number by chance
	}
	var out logged
	_, origin := pfs(t, 3)
	c := start(t, plan{nodes: 4, trees: 1, fanout: 1, origin: origin, config: func(cfg *Config) {
		cfg.Secret, cfg.Encrypt = secret, true
		cfg.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
	}})
	for _, m := range c.members {
		m.Handle(func(_ context.Context, req []byte) ([]byte, error) { return nil, errTest }, newLines)
	}
	root, leaf := c.at(0, 0), c.at(0, 3)
	leaf.stat(t, "/d/f0")
	if _, err := leaf.Gather(t.Context(), []byte("hello")); err != nil {
		t.Error(err)
	}
	endpoint := c.nodes[root.self].Endpoints[0]
	for name, change := range map[string]func(*hello, *[32]byte){
		"wrong secret": func(_ *hello, s *[32]byte) { s[31]++ },
		"wrong rank":   func(h *hello, _ *[32]byte) { h.to++ },
		"plain":        func(h *hello, _ *[32]byte) { h.encrypted = false },
		"version":      func(h *hello, _ *[32]byte) { h.version++ },
		"roster":       func(h *hello, _ *[32]byte) { h.fingerprint++ },
	} {
		me, theirs := leaf.hello(root.self, 0, small), secret
		change(&me, &theirs)
		conn, err := root.transport.Dial(t.Context(), endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := introduce(conn, &theirs, me); err == nil {
			t.Errorf("%s: let in", name)
		} else if holds(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		_ = conn.Close()
	}
	conn, err := root.transport.Dial(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\n", 10))
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
	l := c.intrude(t, leaf.self, root.self, small)
	_, _ = l.conn.Write(bytes.Repeat([]byte{0xff}, 100))
	_, _ = io.Copy(io.Discard, l.conn)
	_ = l.conn.Close()
	c.at(0, 2).kill()
	leaf.stat(t, "/d/f1")
	for _, m := range c.members {
		m.kill()
	}
	text := out.String()
	for _, want := range []string{"refused a connection", "a child has left", "others are asked", "asking somebody else"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if holds(text, secret) {
		t.Errorf("the secret %x is in the log:\n%s", secret, text)
	}
	for _, leak := range []any{secret, secret[:], hex.EncodeToString(secret[:]), &secret, root.secret} {
		if !holds(fmt.Sprintf("%v %x %q", leak, leak, leak), secret) {
			t.Errorf("a leak like %v would not be found", leak)
		}
	}
}

// holds tells whether some eight bytes of the secret are in the text, in one of the forms in which
// programs print bytes.
func holds(text string, secret [32]byte) bool {
	lower := strings.ToLower(text)
	for i := range len(secret) - 8 {
		part := secret[i : i+8]
		numbers := strings.Trim(fmt.Sprintf("%d", part), "[]")
		for _, form := range []string{
			string(part), strings.Trim(fmt.Sprintf("%q", part), `"`), numbers, strings.ReplaceAll(numbers, " ", ","),
		} {
			if strings.Contains(text, form) {
				return true
			}
		}
		if strings.Contains(lower, hex.EncodeToString(part)) {
			return true
		}
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if strings.Contains(text, e.EncodeToString(secret[:])[:10]) {
			return true
		}
	}
	return false
}
