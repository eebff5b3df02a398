package overlay

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"math"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Each of these runs over its seeds as a plain test; `make fuzz` looks further. What is fed must not
// crash, hang or leak anything (goroutines, or memory of the budget), and what is accepted must be what the
// protocol promises.

func feed(conn net.Conn, words []byte) {
	_, _ = conn.Write(words[:min(len(words), virtualBuffer)])
	_ = conn.Close()
}

// FuzzAdmit plays diallers that don't know the secret: none gets in.
func FuzzAdmit(f *testing.F) {
	recorded := shakeHands(dialler(), jobSecret, jobSecret)
	f.Add(recorded.fromDialler, false)
	f.Add(recorded.fromDialler[:helloSize], false)
	f.Add(recorded.toDiallers, false)
	f.Add([]byte(magic), true)
	f.Add(shakeHands(encryptedDialler(), jobSecret, jobSecret).fromDialler, true)
	f.Add([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), true)
	f.Add(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 10), false)
	f.Fuzz(func(t *testing.T, words []byte, encrypt bool) {
		near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
		go func() { _, _ = io.Copy(io.Discard, near) }()
		_, _ = near.Write(words[:min(len(words), virtualBuffer)])
		near.out.stopWriting() // it still hears
		if _, _, _, err := (door{secret: &jobSecret, self: 3, forest: shakers, encrypt: encrypt}).admit(far); err == nil {
			t.Errorf("%q gets in", words)
		}
		_, _ = far.Close(), near.Close()
	})
}

// FuzzIntroduce plays listeners that don't know the secret: none is believed.
func FuzzIntroduce(f *testing.F) {
	recorded := shakeHands(dialler(), jobSecret, jobSecret)
	f.Add(recorded.toDiallers, false)
	f.Add(recorded.fromDialler, false)
	f.Add(recorded.toDiallers, true)
	f.Add(shakeHands(encryptedDialler(), jobSecret, jobSecret).toDiallers, true)
	f.Add(shakeHandsWith(dialler(), jobSecret, jobSecret, true).toDiallers, false)
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, words []byte, encrypt bool) {
		near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
		go func() { _, _ = io.Copy(io.Discard, far) }()
		_, _ = far.Write(words[:min(len(words), virtualBuffer)])
		far.out.stopWriting()
		d := dialler()
		d.encrypted = encrypt
		if _, _, err := introduce(near, &jobSecret, d); err == nil {
			t.Errorf("%q is believed", words)
		}
		_, _ = far.Close(), near.Close()
	})
}

// FuzzHello: a hello says what its bytes say.
func FuzzHello(f *testing.F) {
	f.Add(dialler().append(nil, newNonce()))
	f.Add(encryptedDialler().append(nil, newNonce()))
	f.Add(bytes.Repeat([]byte{0xff}, helloSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != helloSize {
			return
		}
		h, err := decodeHello(b)
		if err != nil {
			return
		}
		if again := h.append(nil, b[helloSize-nonceSize:]); !bytes.Equal(again[:11], b[:11]) || !bytes.Equal(again[12:], b[12:]) {
			t.Errorf("%x becomes %x", b, again)
		}
		if r, err := rank3.judge(h); err == nil && (r != refusedNot || h.to != 3 || h.from >= 8 || h.from < 0 || h.channel >= channels) {
			t.Errorf("%+v is accepted", h)
		}
		_ = dialler().accepts(slices.Concat(b, make([]byte, challengeSize)))
	})
}

// FuzzHeader: a header keeps all of its bytes, and names of kinds and states never fail.
func FuzzHeader(f *testing.F) {
	f.Add(header{length: 1, kind: kindStat, flags: flagReply, status: statusBusy, id: 2, session: 3}.append(nil))
	f.Add(bytes.Repeat([]byte{0xff}, headerSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != headerSize {
			return
		}
		h := decodeHeader(b)
		if again := h.append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x becomes %x", b, again)
		}
		if h.length < 0 || h.kind.String() == "" || h.status.String() == "" {
			t.Errorf("%+v", h)
		}
		for on := range channels {
			if h.kind.asks(on) && kinds[h.kind].request == 0 {
				t.Errorf("%v asks", h.kind)
			}
		}
	})
}

// FuzzRequest: a request that is accepted means the same when it is encoded again, and its path is one
// of the view.
func FuzzRequest(f *testing.F) {
	for _, q := range []request{
		statRequest("/a", store.Version{Ino: 1}), listRequest("/a/b", nil), readLinkRequest("/"),
		readChunkRequest(store.File{Path: "/a", Version: store.Version{Size: 1}}, 0),
		readChunkRequest(store.File{Path: "/a", Version: store.Version{Size: math.MaxInt64}}, 3),
		{kind: kindControl, patience: time.Second, body: []byte("hello")},
		statRequest("/../a", store.Version{}), statRequest("//", store.Version{}), readLinkRequest("/\x00"),
	} {
		f.Add(uint8(q.kind), q.append(nil))
	}
	f.Add(uint8(0), []byte{})
	f.Add(uint8(200), bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, k uint8, payload []byte) {
		q, err := decodeRequest(kind(k), payload)
		if err != nil {
			return
		}
		if again, err := decodeRequest(q.kind, q.append(nil)); err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("%+v becomes %+v, %v", q, again, err)
		}
		if q.patience < 0 || q.patience > maxLease {
			t.Errorf("it waits %v", q.patience)
		}
		if q.kind != kindControl && (!cleaned(q.path) || q.room < 0 || q.room > store.ChunkSize) {
			t.Errorf("%+v is accepted", q)
		}
	})
}

// FuzzReply decodes a reply to each kind of request, as a success and as a failure.
func FuzzReply(f *testing.F) {
	f.Add(uint16(0), appendAttr(nil, store.Attr{Size: -1}))
	f.Add(uint16(2), appendLease(nil, time.Now().Add(time.Hour)))
	f.Add(uint16(5), []byte{})
	f.Add(uint16(statusFailed), []byte("no reason"))
	f.Add(uint16(0xffff), bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, s uint16, payload []byte) {
		r := reply{status: status(s), payload: payload}
		for k := kindStat; k <= kindControl; k++ {
			if err := r.problem(request{kind: k, path: "/a"}); (err == nil) != (r.status == statusOK) {
				t.Errorf("%v to %v: %v", r.status, k, err)
			}
		}
		if a, err := r.attr(); err == nil && !bytes.Equal(appendAttr(nil, a), payload) {
			t.Errorf("%x becomes %+v", payload, a)
		}
		if target, err := r.target(); err == nil && target != string(payload) {
			t.Errorf("%q becomes %q", payload, target)
		}
	})
}

// FuzzListing: a listing that is accepted is in order, has only names that a directory can have, and is the
// same when it is encoded again.
func FuzzListing(f *testing.F) {
	for _, l := range []*store.Listing{
		{Complete: true, Entries: []store.Entry{{Name: "a"}, {Name: "b", Type: 4 << typeShift}}},
		{Entries: []store.Entry{{Name: "b"}, {Name: "a"}}},
		{Entries: []store.Entry{{Name: "a/b"}}},
		{Entries: []store.Entry{{Name: ".."}}},
		{Settled: true},
	} {
		b, err := encoded(l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(appendUnchanged(nil, time.Now().Add(time.Hour)))
	f.Add(append(make([]byte, listingFixed-4), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := reply{payload: payload}
		_, _ = r.listing(&store.Listing{})
		l, err := r.listing(nil)
		if err != nil {
			return
		}
		for i, e := range l.Entries {
			if _, found := l.Find(e.Name); !found || e.Name == "" || !nameable(e.Name) || i > 0 && e.Name < l.Entries[i-1].Name {
				t.Errorf("%q at %d of %d", e.Name, i, len(l.Entries))
			}
		}
		l.Expires = time.Time{}
		b, err := encoded(l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := reply{payload: b}.listing(nil)
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Errorf("%+v becomes %+v, %v", l, again, err)
		}
	})
}

// FuzzGathered decodes what a node gathered.
func FuzzGathered(f *testing.F) {
	f.Add(encodeGathered(Gathered{Body: []byte("one"), Missing: []Missing{{1, "gone"}, {2, ""}}}))
	f.Add(encodeGathered(Gathered{Missing: []Missing{{0, ""}, {1, "gone"}, {2, ""}, {3, ""}}}))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	_, origin := pfs(f, 0)
	m := start(f, plan{nodes: 4, trees: 1, origin: origin}).at(0, 1)
	f.Fuzz(func(t *testing.T, payload []byte) {
		g, err := m.decodeGathered(payload, m.forest.Rank(controlTree, 0), false)
		if err != nil {
			return
		}
		if len(g.Missing) > 4 || (g.Body == nil) != (len(g.Missing) == 4) {
			t.Errorf("%+v", g)
		}
		if again, err := m.decodeGathered(encodeGathered(g), m.forest.Rank(controlTree, 0), false); err != nil || !reflect.DeepEqual(again, g) {
			t.Errorf("%+v becomes %+v, %v", g, again, err)
		}
		if of, err := m.decodeGathered(payload, m.forest.Rank(controlTree, 0), true); err == nil && len(of.Missing) > 1 {
			t.Errorf("alone it says that %+v are missing", of.Missing)
		}
	})
}

// frame is a frame of the session that the fuzzed links have.
func frame(h header, payload []byte) []byte {
	h.length, h.session = len(payload), fuzzSession
	return append(h.append(nil), payload...)
}

const fuzzSession = 7

// FuzzChunk plays a parent that answers a request for a chunk of 64 bytes: only bytes of the checksum that
// they came with are taken, and what is encoded decodes to them or not at all.
func FuzzChunk(f *testing.F) {
	sum := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	raw := bytes.Repeat([]byte{5}, 64)
	f.Add(append(chunkForm{crc: sum(raw), sum: sum(raw)}.append(nil), raw...))
	f.Add(append(chunkForm{}.append(nil), raw...))
	f.Add(append(chunkForm{encoding: store.S2, crc: sum(raw), sum: sum([]byte{1, 2, 3})}.append(nil), 1, 2, 3))
	f.Add(append(chunkForm{encoding: store.Zstd, sum: sum([]byte{1, 2, 3})}.append(nil), 1, 2, 3))
	f.Add(append(chunkForm{encoding: 9}.append(nil), 1, 2, 3))
	f.Add([]byte{0})
	f.Add([]byte{})
	mem := memory(f, func() {})
	file := store.File{Path: "/d", Version: store.Version{Size: 64}}
	f.Fuzz(func(t *testing.T, payload []byte) {
		chunk, err := answered(t, mem, readChunkRequest(file, 0),
			frame(header{kind: kindReadChunk, flags: flagReply, id: 1}, payload[:min(len(payload), virtualBuffer/2)])).chunkOf()
		if err != nil {
			return
		}
		expand := store.NewExpand(one{chunk: chunk}, mem)
		decoded, err := expand.ReadChunk(t.Context(), file, 0)
		if err == nil {
			if !decoded.Intact() || sum(decoded.Bytes()) != chunk.CRC() || decoded.Len() != 64 {
				t.Errorf("%d bytes with another checksum", decoded.Len())
			}
			decoded.Release()
		}
		chunk.Release()
		if used := mem.Use().Used; used != 0 {
			t.Errorf("%d bytes are not given back", used)
		}
	})
}

// one is a Source of one chunk.
type one struct {
	store.Source
	chunk *store.Chunk
}

func (o one) ReadChunk(context.Context, store.File, int64) (*store.Chunk, error) {
	o.chunk.Retain()
	return o.chunk, nil
}

// outcomeOf is what an asker came to.
type outcomeOf struct {
	reply
	err error
}

func (o outcomeOf) chunkOf() (*store.Chunk, error) {
	switch {
	case o.err != nil:
		return nil, o.err
	case o.status != statusOK:
		return nil, errTest
	}
	return o.chunk()
}

// answered puts a request to a parent that says words, whatever it is asked.
func answered(t *testing.T, mem *store.Memory, q request, words []byte) (o outcomeOf) {
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	a := newAsker(newLink(far, hello{channel: kinds[q.kind].channel}, fuzzSession, time.Minute, 0), mem, Timing{}.withDefaults())
	var wg sync.WaitGroup
	wg.Go(func() { o.reply, o.err = a.ask(t.Context(), q) })
	greeting := make([]byte, headerSize)
	_, _ = io.ReadFull(near, greeting) // it has asked: what comes now is for it
	feed(near, words)
	a.run()
	wg.Wait()
	return o
}

// frames are seeds for either end of a link.
func frames() [][]byte {
	return [][]byte{
		frame(header{kind: kindStat, id: 1}, statRequest("/d", store.Version{}).append(nil)),
		frame(header{kind: kindList, id: 1}, listRequest("/d", nil).append(nil)),
		frame(header{kind: kindReadChunk, id: 1}, readChunkRequest(store.File{Path: "/d/f0", Version: store.Version{Size: 1}}, 0).append(nil)),
		frame(header{kind: kindControl, id: 1}, request{kind: kindControl, patience: time.Second, body: []byte("x")}.append(nil)),
		frame(header{kind: kindPing}, nil),
		append(frame(header{kind: kindReadLink, id: 1}, []byte("/a")), frame(header{kind: kindCancel, id: 1}, nil)...),
		append(frame(header{kind: kindReadLink, id: 1}, []byte("/a")), frame(header{kind: kindReadLink, id: 1}, []byte("/a"))...),
		frame(header{kind: kindStat, flags: flagReply, id: 1}, make([]byte, attrSize)),
		frame(header{kind: kindStat, flags: flagReply, id: 1, status: 2}, make([]byte, 8)),
		frame(header{kind: kindReadLink, flags: flagReply, id: 1}, []byte("target")),
		frame(header{kind: kindControl, flags: flagReply, id: 1}, encodeGathered(Gathered{Body: []byte("one")})),
		append(frame(header{kind: kindPing, flags: flagReply}, nil), frame(header{kind: kindList, flags: flagReply, id: 1}, appendUnchanged(nil, time.Time{}))...),
		frame(header{kind: kindReadChunk, flags: flagReply, id: 1}, append(chunkForm{}.append(nil), 1)),
		bytes.Repeat([]byte{fuzzSession}, 100),
		{},
	}
}

// FuzzAnswerer is a child that knows the secret and says anything on any channel.
func FuzzAnswerer(f *testing.F) {
	for _, words := range frames() {
		f.Add(words)
	}
	_, origin := pfs(f, 1)
	c := start(f, plan{nodes: 1, origin: origin})
	m := c.members[0]
	m.Handle(func(_ context.Context, req []byte) ([]byte, error) { return req, nil }, newLines)
	f.Fuzz(func(t *testing.T, words []byte) {
		for ch := range channels {
			near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
			child := &child{limit: fewestHeld}
			feed(near, words)
			_ = newAnswerer(newLink(far, hello{channel: ch}, fuzzSession, time.Minute, 0), m.Overlay, m.store, child).run(t.Context())
			if child.held != 0 || child.asked != 0 || child.gathers != 0 || child.bodies != 0 {
				t.Errorf("something is left of it: %+v", child)
			}
		}
	})
}

// FuzzAsker is a parent that knows the secret and says anything to any question.
func FuzzAsker(f *testing.F) {
	for _, words := range frames() {
		f.Add(words)
	}
	mem := memory(f, func() {})
	f.Fuzz(func(t *testing.T, words []byte) {
		for _, q := range []request{
			statRequest("/d", store.Version{}), listRequest("/d", nil), readLinkRequest("/d"),
			readChunkRequest(store.File{Path: "/d", Version: store.Version{Size: 5}}, 0),
			{kind: kindControl, patience: time.Second},
		} {
			o := answered(t, mem, q, words)
			if o.err == nil && q.kind != kindReadChunk && o.data != nil {
				t.Errorf("%v is answered with data", q.kind)
			}
			if q.kind == kindReadChunk {
				if chunk, err := o.chunkOf(); err == nil {
					chunk.Release()
				}
			}
			if used := mem.Use().Used; used != 0 {
				t.Errorf("%v: %d bytes are not given back", q.kind, used)
			}
		}
	})
}
