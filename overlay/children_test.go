package overlay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
)

// put sends a request as an asker does, and a test may.
func (l *link) put(q request, id uint64) {
	l.out.send(l.header(q.kind, 0, statusOK, id), q.append(nil), nil)
}

// reply reads a reply whole.
func (l *link) reply(t testing.TB) (header, []byte) {
	t.Helper()
	h, err := l.next()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := l.payload(h, h.length)
	if err != nil {
		t.Fatal(err)
	}
	return h, payload
}

// of is what a peer has of this node.
func (m *member) of(rank int) *child {
	m.children.mu.Lock()
	defer m.children.mu.Unlock()
	return m.children.ranks[rank]
}

// large writes a file of n chunks, each of other bytes.
func large(tree interface{ Write(string, []byte) }, path string, n int) {
	data := make([]byte, n*store.ChunkSize)
	for i := range n {
		copy(data[i*store.ChunkSize:], bytes.Repeat([]byte{byte(i + 1)}, store.ChunkSize))
	}
	tree.Write(path, data)
}

// TestUnreadAnswersAreBounded: a peer that asks for data on many connections and reads none of it keeps
// others waiting for no memory, and what it asked for beyond its share waits for it to read.
func TestUnreadAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		large(tree, "/big", 40)
		c := start(t, plan{nodes: 3, trees: 1, fanout: 2, origin: origin})
		root, hostile, good := c.at(0, 0), c.at(0, 1), c.at(0, 2)
		file := store.File{Path: "/big", Version: root.stat(t, "/big").Version()}
		var links []*link
		for range maxLinks {
			l := c.intrude(t, hostile.self, root.self, bulk)
			links = append(links, l)
			for i := range inFlight[bulk] {
				l.put(readChunkRequest(file, int64(i)), uint64(i))
			}
		}
		synctest.Wait()
		child := root.of(hostile.self)
		child.mu.Lock()
		if child.held > child.limit || child.held < child.limit/2 || child.limit != fewestHeld {
			t.Errorf("it holds %d bytes, where %d may be", child.held, child.limit)
		}
		child.mu.Unlock()
		began := time.Now()
		for i := range file.Chunks() {
			chunk, err := good.ReadChunk(t.Context(), file, i)
			if err != nil {
				t.Fatal(err)
			}
			if chunk.Bytes()[0] != byte(i+1) {
				t.Errorf("chunk %d is wrong", i)
			}
			chunk.Release()
		}
		if s := good.Stats(); time.Since(began) != 0 || s.Failovers != 0 || s.Direct != 0 {
			t.Errorf("the others wait %v: %+v", time.Since(began), s)
		}

		// One that reads after all gets everything.
		got := map[uint64]bool{}
		for range inFlight[bulk] {
			h, payload := links[0].reply(t)
			if h.status != statusOK || payload[chunkHeader] != byte(h.id+1) || got[h.id] {
				t.Errorf("the reply to %d: %v", h.id, h.status)
			}
			got[h.id] = true
		}
		for _, l := range links {
			_ = l.conn.Close()
		}
		synctest.Wait()
		if child.held != 0 || child.asked != 0 {
			t.Errorf("%d bytes are held and %d requests counted for nobody", child.held, child.asked)
		}
	})
}

// TestUnreadConnectionEnds: what a peer doesn't read is kept for the time of a write.
func TestUnreadConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		large(tree, "/big", 32)
		c := start(t, plan{nodes: 2, origin: origin})
		root, hostile := c.at(0, 0), c.at(0, 1)
		file := store.File{Path: "/big", Version: root.stat(t, "/big").Version()}
		l := c.intrude(t, hostile.self, root.self, bulk)
		for i := range inFlight[bulk] {
			l.put(readChunkRequest(file, int64(i)), uint64(i))
		}
		synctest.Wait()
		child := root.of(hostile.self)
		time.Sleep(root.timing.Write)
		synctest.Wait()
		if root.of(hostile.self) != nil || child.held != 0 || child.asked != 0 {
			t.Errorf("%d bytes and %d requests after the time of a write", child.held, child.asked)
		}
		_ = l.conn.Close()
	})
}

// TestLargestAnswerIsSent: an answer larger than what a peer may hold is sent nevertheless.
func TestLargestAnswerIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		for i := range 500 {
			tree.Write(fmt.Sprintf("/d/%0200d", i), nil)
		}
		c := start(t, plan{nodes: 2, origin: origin})
		root, as := c.at(0, 0), c.at(0, 1).self
		l := c.intrude(t, as, root.self, bulk)
		synctest.Wait()
		root.of(as).limit = 64 << 10
		for id := range 5 {
			l.put(listRequest("/d", nil), uint64(id))
		}
		for range 5 {
			h, payload := l.reply(t)
			if listing, err := (reply{payload: payload}).listing(nil); err != nil || len(listing.Entries) != 501 || len(payload) < 100<<10 {
				t.Errorf("reply %d of %d bytes: %v", h.id, len(payload), err)
			}
		}
		_ = l.conn.Close()
	})
}

// TestRequestsOfOnePeerAreBounded: over however many connections; those beyond are refused, and the
// others answered.
func TestRequestsOfOnePeerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &failing{err: errTest, waits: true}
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 16, trees: 16, origin: origin, serve: func(*member) store.Source { return slow }})
		root, as := c.members[3], 9
		var links []*link
		busy := 0
		for tree := range 16 {
			if root.forest.Position(tree, as) < root.forest.Position(tree, root.self) {
				continue
			}
			path := "/"
			for i := 0; root.forest.Tree(path) != tree; i++ {
				path = fmt.Sprintf("/%d", i)
			}
			for range maxLinks {
				l := c.intrudeIn(t, tree, as, root.self, small)
				links = append(links, l)
				for id := range inFlight[small] {
					l.put(readLinkRequest(path), uint64(id))
				}
				synctest.Wait()
			}
		}
		for _, l := range links {
			_ = l.conn.SetReadDeadline(time.Now().Add(time.Second))
			for {
				h, err := l.next()
				if err != nil {
					break
				}
				if busy++; h.status != statusBusy {
					t.Errorf("a reply says %s", h.status)
				}
			}
		}
		if asked := int(slow.asked.Load()); asked != maxAsked || busy != len(links)*inFlight[small]-maxAsked || busy == 0 {
			t.Errorf("on %d connections %d requests are being answered and %d refused", len(links), asked, busy)
		}
		for _, l := range links {
			_ = l.conn.Close()
		}
	})
}

// TestControlRequestsOfOnePeerAreBounded: in number, and in the bytes of their bodies, which are not even
// kept.
func TestControlRequestsOfOnePeerAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin})
		m := c.members[0]
		m.Handle(func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }, newLines)
		for name, try := range map[string]struct{ body, enter int }{
			"many":  {1, maxGathers},
			"large": {maxControl/2 + 1, 1},
		} {
			var links []*link
			for range maxLinks {
				l := c.intrude(t, 1, 0, control)
				links = append(links, l)
				for id := range maxGathers {
					q := request{kind: kindControl, patience: time.Hour, body: make([]byte, try.body)}
					if l.put(q, uint64(id)); try.enter == 1 && id == 1 {
						break
					}
				}
			}
			synctest.Wait()
			child := m.of(1)
			child.mu.Lock()
			if child.gathers != try.enter || child.bodies != try.enter*(controlHeader+try.body) {
				t.Errorf("%s: %d control requests of %d bytes are being answered", name, child.gathers, child.bodies)
			}
			child.mu.Unlock()
			for _, l := range links {
				_ = l.conn.Close()
			}
			synctest.Wait()
			if child.asked != 0 || child.bodies != 0 {
				t.Errorf("%s: %d requests of %d bytes are remembered", name, child.asked, child.bodies)
			}
		}
	})
}

// TestUnreadRefusalsAreBounded: what a peer can provoke at no cost doesn't pile up either.
func TestUnreadRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin})
		m := c.members[0]
		for name, frame := range map[string]struct {
			header
			payload []byte
			closed  bool
		}{
			"pings":              {header: header{kind: kindPing}},
			"cancels":            {header: header{kind: kindCancel, id: 3}},
			"malformed requests": {header: header{kind: kindReadLink}, payload: bytes.Repeat([]byte{'x'}, 1000), closed: true},
		} {
			l := c.intrude(t, 1, 0, small)
			synctest.Wait()
			out := &m.of(1).links[way{0, small}][0].out
			h := frame.header
			h.session, h.length = l.session, len(frame.payload)
			words := bytes.Repeat(append(h.append(nil), frame.payload...), 1000)
			var err error
			for range 200 {
				if _, err = l.conn.Write(words); err != nil {
					break
				}
			}
			synctest.Wait()
			out.mu.Lock()
			queued := cap(out.queue.bytes)
			out.mu.Unlock()
			if (err != nil) != frame.closed || queued > 4*maxRefused {
				t.Errorf("%s: %d bytes are queued; %v", name, queued, err)
			}
			_ = l.conn.Close()
			synctest.Wait()
		}
	})
}

// TestFramesComeInTime: a frame that has begun must come whole, however steadily it drips. So must the
// reply that a parent has begun, which it is alive to finish.
func TestFramesComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, timing: Timing{Hedge: time.Hour}})
		m := c.members[0]
		q := statRequest("/d/f0", store.Version{}).append(nil)
		for _, begun := range []int{1, headerSize + 1} {
			l := c.intrude(t, 1, 0, small)
			h := l.header(kindStat, 0, statusOK, 1)
			h.length = len(q)
			words := append(h.append(nil), q...)
			began := time.Now()
			_, _ = l.conn.Write(words[:begun])
			go func() {
				for range words[begun:] {
					time.Sleep(m.timing.Write / 4)
					if _, err := l.conn.Write([]byte{'x'}); err != nil {
						return
					}
				}
			}()
			_, _ = io.Copy(io.Discard, l.conn)
			if took := time.Since(began); took != 2*m.timing.Write {
				t.Errorf("one who sent %d bytes is waited for during %v", begun, took)
			}
			_ = l.conn.Close()
			time.Sleep(m.timing.Write)
		}

		child := c.members[1]
		child.impersonate(t, c, 0, func(h header) (header, []byte) {
			if h.kind == kindPing {
				return h, nil
			}
			return h, appendAttr(nil, store.Attr{})
		})
		child.transport = dripping{child.transport}
		began := time.Now()
		child.stat(t, "/d/f0")
		if took := time.Since(began).Truncate(2 * time.Second); took != 2*child.timing.Write || child.Stats().Direct != 1 {
			t.Errorf("a parent that drips is waited for during %v: %+v", took, child.Stats())
		}
	})
}
