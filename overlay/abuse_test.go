package overlay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
)

// intrude connects to a member as another rank of the job does, for a test to say what no asker says.
func (c *cluster) intrude(t testing.TB, as, to int, ch channel) *link {
	t.Helper()
	return c.intrudeIn(t, 0, as, to, ch)
}

func (c *cluster) intrudeIn(t testing.TB, tree, as, to int, ch channel) *link {
	t.Helper()
	me := c.members[as]
	conn, err := me.transport.Dial(t.Context(), c.nodes[to].Endpoints[0])
	if err != nil {
		t.Fatal(err)
	}
	h := me.hello(to, tree, ch)
	open, session, err := introduce(conn, &me.secret, h)
	if err != nil {
		t.Fatal(err)
	}
	return newLink(open, h, session, time.Minute, 0)
}

// TestChildTalksNonsense: a connection on which something else comes than the protocol has is
// closed; the node goes on.
func TestChildTalksNonsense(t *testing.T) {
	stat := statRequest("/d/f0", store.Version{}).append(nil)
	for name, c := range map[string]struct {
		on      channel
		header  header
		payload []byte
	}{
		"another session":        {small, header{kind: kindStat, id: 1, session: 1, length: len(stat)}, stat},
		"a huge stat":            {small, header{kind: kindStat, id: 1, length: 1 << 31}, nil},
		"a control beyond cap":   {control, header{kind: kindControl, id: 1, length: controlHeader + maxControl + 1}, nil},
		"a chunk on small":       {small, header{kind: kindReadChunk, id: 1, length: 60}, make([]byte, 60)},
		"a stat on bulk":         {bulk, header{kind: kindStat, id: 1, length: len(stat)}, stat},
		"no kind":                {small, header{id: 1}, nil},
		"an unknown kind":        {small, header{kind: 200, id: 1}, nil},
		"a reply":                {small, header{kind: kindStat, flags: flagReply, id: 1, length: attrSize}, make([]byte, attrSize)},
		"an unknown flag":        {small, header{kind: kindStat, flags: 0x80, id: 1, length: len(stat)}, stat},
		"a ping with a payload":  {small, header{kind: kindPing, length: 3}, []byte("abc")},
		"a cancel with a length": {small, header{kind: kindCancel, length: 1 << 30}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, origin := pfs(t, 1)
			cl := start(t, plan{nodes: 2, origin: origin})
			l := cl.intrude(t, 1, 0, c.on)
			defer l.conn.Close()
			h := c.header
			if h.session == 0 {
				h.session = l.session
			}
			if _, err := l.conn.Write(append(h.append(nil), c.payload...)); err != nil {
				t.Fatal(err)
			}
			if reply, err := io.ReadAll(l.conn); err != nil || len(reply) != 0 {
				t.Errorf("it is answered with %d bytes, %v", len(reply), err)
			}
			cl.members[1].stat(t, "/d/f0")
			if cl.members[1].Stats().Direct != 0 {
				t.Error("the node doesn't answer others any more")
			}
		})
	}
}

// TestMalformedRequestIsRefused: the frame is whole, so the connection stays; only the request is
// turned down.
func TestMalformedRequestIsRefused(t *testing.T) {
	tree, origin := pfs(t, 1)
	c := start(t, plan{nodes: 2, origin: origin})
	l := c.intrude(t, 1, 0, small)
	defer l.conn.Close()
	for _, path := range []string{"/../etc/passwd", "", "d/f0", "/d/f0"} {
		l.out.send(l.header(kindStat, 0, statusOK, 5), statRequest(path, store.Version{}).append(nil), nil)
		h, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.payload(h, maxProblem); err != nil {
			t.Fatal(err)
		}
		want := statusMalformed
		if path == "/d/f0" {
			want = statusOK
		}
		if h.status != want || h.id != 5 || h.flags != flagReply {
			t.Errorf("%q: %+v", path, h)
		}
	}
	if n := len(tree.Counts()); n != 1 {
		t.Errorf("the PFS was asked for %v", tree.Counts())
	}
}

// TestForeignTreeIsRefused: the direction of a connection holds for one tree, so it carries no other's
// questions.
func TestForeignTreeIsRefused(t *testing.T) {
	_, origin := pfs(t, 10)
	c := start(t, plan{nodes: 2, trees: 2, origin: origin})
	l := c.intrude(t, 1, 0, small)
	defer l.conn.Close()
	seen := map[status]bool{}
	for i := range 10 {
		path := fmt.Sprintf("/d/f%d", i)
		l.out.send(l.header(kindStat, 0, statusOK, 5), statRequest(path, store.Version{}).append(nil), nil)
		h, err := l.next()
		if err == nil {
			_, err = l.payload(h, maxProblem)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := statusOK
		if c.members[0].forest.Tree(path) != 0 {
			want = statusMalformed
		}
		if seen[want] = true; h.status != want {
			t.Errorf("%s: %v, want %v", path, h.status, want)
		}
	}
	if len(seen) != 2 {
		t.Error("the paths are all of one tree")
	}
}

// TestParentTalksNonsense: a reply that makes none of the promised sense breaks the link, and the
// answer comes from elsewhere.
func TestParentTalksNonsense(t *testing.T) {
	good := appendAttr(nil, store.Attr{})
	for name, answer := range map[string]func(h header) (header, []byte){
		"garbage":            func(h header) (header, []byte) { return h, []byte("short") },
		"another session":    func(h header) (header, []byte) { h.session++; return h, good },
		"a request":          func(h header) (header, []byte) { h.flags = 0; return h, good },
		"another's reply":    func(h header) (header, []byte) { h.id++; return h, good },
		"another kind":       func(h header) (header, []byte) { h.kind = kindReadLink; return h, good },
		"a huge length":      func(h header) (header, []byte) { return h, make([]byte, maxPath) },
		"a long excuse":      func(h header) (header, []byte) { h.status = 5; return h, make([]byte, maxProblem+1) },
		"half an errno":      func(h header) (header, []byte) { h.status = 5; return h, []byte{1} },
		"an unknown status":  func(h header) (header, []byte) { h.status = 0x8000; return h, nil },
		"a ping that weighs": func(h header) (header, []byte) { h.kind = kindPing; return h, good },
	} {
		t.Run(name, func(t *testing.T) {
			_, origin := pfs(t, 1)
			c := start(t, plan{nodes: 2, origin: origin})
			child := c.members[1]
			child.impersonate(t, c, 0, answer)
			if a := child.stat(t, "/d/f0"); !a.IsRegular() {
				t.Errorf("the answer is %+v", a)
			}
			if s := child.Stats(); s.Direct != 1 || s.Failovers != 1 {
				t.Errorf("the answer did not come from the origin: %+v", s)
			}
		})
	}
}

// impersonate makes the member ask, in the place of rank, one that replies as answer says.
func (m *member) impersonate(t *testing.T, c *cluster, rank int, answer func(header) (header, []byte)) {
	t.Helper()
	ln, err := m.transport.Listen("mem://")
	if err != nil {
		t.Fatal(err)
	}
	m.nodes = append([]Node(nil), m.nodes...)
	m.nodes[rank].Endpoints = []string{ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				open, h, session, err := door{secret: &m.secret, self: rank, forest: m.forest, encrypt: m.encrypt}.admit(conn)
				if err != nil {
					t.Error(err)
					return
				}
				l := newLink(open, h, session, time.Minute, 0)
				for {
					h, err := l.next()
					if err != nil {
						return
					}
					if _, err := l.payload(h, h.length); err != nil {
						return
					}
					h.flags = flagReply
					h, payload := answer(h)
					l.out.send(h, payload, nil)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = m.Close()
		_ = ln.Close()
		wg.Wait()
	})
}

// TestSilentChildIsClosed: a child that is neither waiting nor leaving is taken for gone.
func TestSilentChildIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin})
		l := c.intrude(t, 1, 0, small)
		began := time.Now()
		_, _ = io.Copy(io.Discard, l.conn)
		if took, want := time.Since(began), c.members[0].timing.silence(); took != want {
			t.Errorf("it is closed after %v, want %v", took, want)
		}
		_ = l.conn.Close()
	})
}

// TestChildThatDoesNotReadIsClosed: answers pile up for a child that takes none.
func TestChildThatDoesNotReadIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		tree.Write("/big", make([]byte, 8*store.ChunkSize))
		c := start(t, plan{nodes: 2, origin: origin})
		file := store.File{Path: "/big", Version: c.members[0].stat(t, "/big").Version()}
		l := c.intrude(t, 1, 0, bulk)
		for i := range file.Chunks() {
			l.out.send(l.header(kindReadChunk, 0, statusOK, uint64(i)), readChunkRequest(file, i).append(nil), nil)
		}
		time.Sleep(c.members[0].timing.Write + time.Second)
		synctest.Wait()
		if n := c.members[0].Stats().Children; n != 0 {
			t.Errorf("%d children are connected", n)
		}
		_ = l.conn.Close()
	})
}

// TestRequestsInFlightAreBounded: however many callers there are, a parent has no more requests of
// one child at a time than both know to be the limit.
func TestRequestsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &failing{err: errTest, waits: true}
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, serve: func(*member) store.Source { return slow }})
		child := c.at(0, 1)
		var wg sync.WaitGroup
		const callers = 1000
		for range callers {
			wg.Go(func() { child.stat(t, "/d/f0") })
		}
		time.Sleep(time.Hour) // pings come through all the while
		if n := slow.asked.Load(); n != int64(inFlight[small]) {
			t.Errorf("%d requests are being answered, want %d", n, inFlight[small])
		}
		c.at(0, 0).kill()
		wg.Wait()
		if s := child.Stats(); s.Direct != callers {
			t.Errorf("%d of %d callers were answered by the origin", s.Direct, callers)
		}
	})
}

// TestGreedyChildIsCutOff: one that sends more than it may loses its connection and its requests.
func TestGreedyChildIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &failing{err: errTest, waits: true}
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, serve: func(*member) store.Source { return slow }})
		l := c.intrude(t, 1, 0, small)
		var sent bytes.Buffer
		for id := range 2 * inFlight[small] {
			payload := readLinkRequest("/d").append(nil)
			h := l.header(kindReadLink, 0, statusOK, uint64(id))
			h.length = len(payload)
			sent.Write(append(h.append(nil), payload...))
		}
		_, _ = l.conn.Write(sent.Bytes())
		synctest.Wait()
		if asked, left := slow.asked.Load(), slow.left.Load(); asked > int64(inFlight[small]) || left != asked {
			t.Errorf("%d requests were begun and %d are over", asked, left)
		}
		if n := c.members[0].Stats().Children; n != 0 {
			t.Errorf("%d children are connected", n)
		}
		_ = l.conn.Close()
	})
}

// TestPathsStayInTheView: a peer that knows the secret gets at nothing outside the view, by whatever
// path and for whatever it asks. What is no path of the view is refused before a file system hears of it.
func TestPathsStayInTheView(t *testing.T) {
	outside := t.TempDir()
	view := filepath.Join(outside, "view")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(view, "d"), 0o755),
		os.WriteFile(filepath.Join(outside, "private"), []byte("private"), 0o644),
		os.WriteFile(filepath.Join(view, "d/f"), []byte("public"), 0o644),
		os.Symlink("..", filepath.Join(view, "up")),
		os.Symlink("../private", filepath.Join(view, "out")),
		os.Symlink("/etc", filepath.Join(view, "etc")),
	); err != nil {
		t.Fatal(err)
	}
	var root *store.Origin
	c := start(t, plan{nodes: 2, origin: func(m *member) store.Source {
		origin, err := store.NewOrigin(view, m.mem, store.OriginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = origin.Close() })
		if root == nil {
			root = origin // that of rank 0, which is the root
		}
		return origin
	}})
	links := map[channel]*link{small: c.intrude(t, 1, 0, small), bulk: c.intrude(t, 1, 0, bulk)}
	ask := func(q request) status {
		l := links[kinds[q.kind].channel]
		l.put(q, 1)
		h, payload := l.reply(t)
		if bytes.Contains(payload, []byte("private")) && h.status == statusOK && q.path != "/out" {
			t.Errorf("%v of %q brings %q", q.kind, q.path, payload)
		}
		return h.status
	}
	version := store.Version{Size: 7}
	each := func(path string) []request {
		return []request{
			statRequest(path, store.Version{}), listRequest(path, nil), readLinkRequest(path),
			readChunkRequest(store.File{Path: path, Version: version}, 0),
		}
	}
	for _, path := range []string{
		"", ".", "..", "d/f", "../private", "/..", "/../private", "/d/../../private", "/d/..", "/./d", "/d/.",
		"//", "//d", "/d/", "/d//f", "/d/f\x00", "/\x00/../private", "\x00", "/" + strings.Repeat("n", maxPath),
	} {
		for _, q := range each(path) {
			payload := q.append(nil)
			if len(payload) > kinds[q.kind].request {
				continue // ends the connection: see TestChildTalksNonsense
			}
			if got := ask(q); got != statusMalformed {
				t.Errorf("%v of %.20q: %v", q.kind, path, got)
			}
		}
	}
	if n := root.Counts(); n != (store.OriginCounts{}) {
		t.Errorf("the file system was asked: %+v", n)
	}
	for path, want := range map[string]syscall.Errno{
		"/up/private":                     syscall.ESTALE,
		"/up/view/d/f":                    syscall.ESTALE,
		"/etc/passwd":                     syscall.ESTALE,
		"/" + strings.Repeat("n", 256):    syscall.ENAMETOOLONG,
		strings.Repeat("/nn", 2000):       syscall.ENAMETOOLONG,
		"/d/f/x":                          syscall.ENOTDIR,
		"/" + strings.Repeat("\xff", 255): syscall.ENOENT,
		"/...":                            syscall.ENOENT,
		"/d/%2e%2e":                       syscall.ENOENT,
	} {
		for _, q := range each(path) {
			want := status(want)
			if q.kind == kindReadChunk && (want == status(syscall.ENOENT) || want == status(syscall.ENOTDIR)) {
				want = status(syscall.ESTALE) // there is no file of that version
			}
			if got := ask(q); got != want {
				t.Errorf("%v of %.40q: %v, want %v", q.kind, path, got, want)
			}
		}
	}
	for _, q := range each("/out") {
		if got := ask(q); (got == statusOK) != (q.kind == kindStat || q.kind == kindReadLink) {
			t.Errorf("%v of a link that leads outside: %v", q.kind, got)
		}
	}
	if got := ask(statRequest("/d/f", store.Version{})); got != statusOK {
		t.Errorf("what is in the view: %v", got)
	}
	for _, l := range links {
		_ = l.conn.Close()
	}
}
