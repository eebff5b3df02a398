package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// addressed is a connection from some address.
type addressed struct {
	*virtualConn
	from string
}

func (a addressed) RemoteAddr() net.Addr { return endpointAddr(a.from) }

// TestStrangersMakeRoom: who hangs loses its place to newcomers, once it has had its time, and the address that
// has most loses first.
func TestStrangersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStrangers()
		s.limit = 3
		enter := func(from string) (*stranger, net.Conn) {
			time.Sleep(time.Millisecond) // none comes in the same instant as another
			near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
			one, err := s.enter(t.Context(), addressed{far, from})
			if err != nil {
				t.Fatal(err)
			}
			return one, near
		}
		single, _ := enter("x")
		first, firstConn := enter("y")
		second, _ := enter("y")
		began := time.Now()
		third, _ := enter("z")
		if took := time.Since(began); took != strangersGrace-time.Millisecond || !first.gone || single.gone || second.gone {
			t.Errorf("after %v: %v %v %v", took, single.gone, first.gone, second.gone)
		}
		if n, err := firstConn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error("the one that lost its place is still connected")
		}
		s.leave(first) // it ends later than it lost its place
		fourth, _ := enter("z")
		if !single.gone || second.gone || third.gone {
			t.Error("of those with one connection each, not the oldest has gone")
		}
		time.AfterFunc(strangersGrace/2, func() { s.leave(third) })
		began = time.Now()
		enter("z")
		if took := time.Since(began); took != strangersGrace/2 {
			t.Errorf("the place of one who left is taken after %v", took)
		}
		if s.count != 3 || second.gone || fourth.gone {
			t.Errorf("%d places are taken", s.count)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
		if _, err := s.enter(ctx, addressed{far, "w"}); !errors.Is(err, context.Canceled) {
			t.Errorf("entering when it is too late: %v", err)
		}
		_, _ = near.Close(), far.Close()
	})
}

// flood makes n connections to an endpoint, of which each says a part of greeting and then hangs, and
// calls meanwhile until all are there.
func flood(t *testing.T, n int, at Transport, endpoint string, greeting []byte, call func()) {
	t.Helper()
	hanging := make(chan net.Conn, n)
	var dialling sync.WaitGroup
	const diallers = 16
	for range diallers {
		dialling.Go(func() {
			for i := range n / diallers {
				conn, err := at.Dial(t.Context(), endpoint)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write(greeting[:i%(len(greeting)+1)])
				hanging <- conn
			}
		})
	}
	flooded := make(chan struct{})
	go func() { dialling.Wait(); close(flooded) }()
	for during := true; during; call() {
		select {
		case <-flooded:
			during = false // and once more, with all of them there
		default:
		}
	}
	t.Logf("%d half-open connections", len(hanging))
	close(hanging)
	for conn := range hanging {
		_ = conn.Close()
	}
}

// TestTenThousandHalfOpen: that many hang at a node, all that it takes at a time and many more, and
// a daemon that calls comes in within the time of a dial.
func TestTenThousandHalfOpen(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tree, origin := pfs(t, 1)
			c := start(t, plan{nodes: 2, origin: origin, config: func(cfg *Config) { cfg.Encrypt = encrypt }})
			root, child := c.at(0, 0), c.at(0, 1)
			greeting := child.hello(root.self, 0, small).append(nil, newNonce())
			most := 0
			flood(t, 10_000, root.transport, c.nodes[root.self].Endpoints[0], greeting, func() {
				l, err := child.peer(root.self).connect(t.Context(), way{0, small})
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.conn.Close()
				root.strangers.mu.Lock()
				most = max(most, root.strangers.count)
				root.strangers.mu.Unlock()
			})
			if most < root.strangers.limit-16 || root.strangers.limit > maxStrangers {
				t.Errorf("at most %d were half-open at a time, where %d may be", most, root.strangers.limit)
			}
			child.stat(t, "/d/f0")
			if child.Stats().Direct != 0 || tree.Count("lstat", "/d/f0") != 1 {
				t.Error("the child did not get through to its parent")
			}
		})
	}
}

// TestHalfOpenOverTCP: the same with real connections, from the address that the daemons have. They hang for
// ever, if they are let.
func TestHalfOpenOverTCP(t *testing.T) {
	// Both ends of those that are let in are in this process.
	n := min(10_000, descriptors()-maxStrangers-1000)
	if n < 1000 {
		t.Skipf("only %d descriptors", descriptors())
	}
	_, origin := pfs(t, 1)
	c := start(t, plan{
		nodes: 2, origin: origin, endpoint: "tcp://127.0.0.1:0", transport: func(int) Transport { return TCP{} },
		timing: Timing{Handshake: time.Hour, Dial: time.Minute},
	})
	root, child := c.at(0, 0), c.at(0, 1)
	greeting := child.hello(root.self, 0, small).append(nil, newNonce())
	calls, lost := 0, 0
	flood(t, n, TCP{}, c.nodes[root.self].Endpoints[0], greeting, func() {
		calls++
		l, err := child.peer(root.self).connect(t.Context(), way{0, small})
		if err != nil {
			lost++ // on a machine so busy that a handshake takes longer than the grace
			t.Logf("call %d: %v", calls, err)
			return
		}
		_ = l.conn.Close()
	})
	t.Logf("of %d calls meanwhile %d were lost", calls, lost)
	if lost == calls {
		t.Error("nobody comes in")
	}
	if child.stat(t, "/d/f0"); child.Stats().Direct != 0 {
		t.Error("the child did not get through to its parent")
	}
}

// refusing is a listener that has no descriptors for a while.
type refusing struct {
	net.Listener
	left int // Accepts that fail
}

func (l *refusing) Accept() (net.Conn, error) {
	if l.left > 0 {
		l.left--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// TestOutOfDescriptors: the server goes on when there are some again, and does not spin meanwhile.
func TestOutOfDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, timing: Timing{Hedge: time.Hour}})
		root, child := c.at(0, 0), c.at(0, 1)
		ln, err := root.transport.Listen("mem://poor")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- root.Serve(&refusing{ln, 5}, root.store) }()
		child.nodes = append([]Node(nil), child.nodes...)
		child.nodes[root.self].Endpoints = []string{"mem://poor"}
		began := time.Now()
		child.stat(t, "/d/f0")
		if took := time.Since(began); took != 5*acceptPause {
			t.Errorf("it takes %v", took)
		}
		if child.Stats().Direct != 0 || tree.Count("lstat", "/d/f0") != 1 {
			t.Error("the child did not get through")
		}
		root.kill()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestLinksAreBounded: a peer has a few connections for a tree and channel; all peers together as many
// as descriptors allow, and who comes then is told to go elsewhere.
func TestLinksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 3, trees: 1, origin: origin})
		root := c.at(0, 0)
		as := c.at(0, 1).self
		var links []*link
		for range maxLinks + 3 {
			links = append(links, c.intrude(t, as, root.self, small))
			synctest.Wait()
		}
		other := c.intrude(t, as, root.self, bulk)
		synctest.Wait()
		for i, l := range append(links, other) {
			_ = l.conn.SetReadDeadline(time.Now().Add(time.Second))
			_, err := l.conn.Read(make([]byte, 1))
			if closed := errors.Is(err, io.EOF); closed != (i < 3) {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		root.children.mu.Lock()
		root.children.limit = root.children.links
		root.children.mu.Unlock()
		leaf := c.at(0, 2)
		if _, err := leaf.peer(root.self).connect(t.Context(), way{0, small}); err == nil || err.Error() != fmt.Sprintf("connect to %s: %s", c.nodes[root.self].Endpoints[0], refusedCrowd) {
			t.Errorf("one more: %v", err)
		}
		if leaf.stat(t, "/d/f0"); leaf.Stats().Failovers == 0 {
			t.Error("it is let in all the same")
		}
		if n := root.Stats().Children; n != maxLinks+1 {
			t.Errorf("%d connections", n)
		}
		for _, l := range append(links, other) {
			_ = l.conn.Close()
		}
		synctest.Wait()
		if len(root.children.ranks) != 0 || root.children.links != 0 {
			t.Errorf("%d connections and %d peers are remembered", root.children.links, len(root.children.ranks))
		}
	})
}

// TestCrowd: connections that were let in at the same time don't make more than there may be.
func TestCrowd(t *testing.T) {
	cs := newChildren(0)
	cs.limit = 1
	l := &link{}
	if _, err := cs.join(1, l); err != nil {
		t.Fatal(err)
	}
	if _, err := cs.join(2, &link{}); !errors.Is(err, errCrowd) {
		t.Errorf("one more: %v", err)
	}
	cs.part(1, l)
	if _, err := cs.join(2, &link{}); err != nil {
		t.Errorf("in the place of one that left: %v", err)
	}
}
