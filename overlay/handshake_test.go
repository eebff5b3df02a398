package overlay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var jobSecret = [32]byte{42}

// In these tests rank 5 calls rank 3, of 8 nodes that have 2 trees. The second one's root is rank 4.
var shakers, _ = NewForest(roster(8), 2, 0)

func dialler() hello {
	return hello{version: protocolVersion, channel: bulk, from: 5, to: 3, fingerprint: shakers.fingerprint}
}

// outcome is what the two ends of a handshake came to.
type outcome struct {
	dialled, admitted       uint64 // sessions
	caller                  hello
	dialErr, admitErr       error
	fromDialler, toDiallers []byte // what went over the wire
}

// recorder keeps what is read from and written to a connection.
type recorder struct {
	net.Conn
	read, written bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.read.Write(p[:n])
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) {
	r.written.Write(p)
	return r.Conn.Write(p)
}

// rank3 is a listener that knows the job's secret.
var rank3 = door{secret: &jobSecret, self: 3, forest: shakers}

func shakeHands(d hello, dialSecret, listenSecret [32]byte) outcome {
	return shakeHandsWith(d, dialSecret, listenSecret, d.encrypted)
}

func shakeHandsWith(d hello, dialSecret, listenSecret [32]byte, listenerEncrypts bool) outcome {
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	wire := &recorder{Conn: near}
	var o outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		_, o.caller, o.admitted, o.admitErr = door{secret: &listenSecret, self: 3, forest: shakers, encrypt: listenerEncrypts}.admit(far)
	}()
	_, o.dialled, o.dialErr = introduce(wire, &dialSecret, d)
	_ = near.Close()
	<-done
	o.fromDialler, o.toDiallers = wire.written.Bytes(), wire.read.Bytes()
	return o
}

func TestHandshake(t *testing.T) {
	o := shakeHands(dialler(), jobSecret, jobSecret)
	if o.dialErr != nil || o.admitErr != nil {
		t.Fatal(o.dialErr, o.admitErr)
	}
	if o.caller != dialler() {
		t.Errorf("the listener knows its caller as %+v", o.caller)
	}
	if o.dialled != o.admitted {
		t.Error("the two ends have different sessions")
	}
	if again := shakeHands(dialler(), jobSecret, jobSecret); again.dialled == o.dialled {
		t.Error("two connections have the same session")
	}
	if len(o.fromDialler) != helloSize+proofSize || len(o.toDiallers) != challengeSize {
		t.Errorf("%d bytes one way and %d the other", len(o.fromDialler), len(o.toDiallers))
	}
}

// TestControlGoesDownToo: only the questions of a tree have a direction.
func TestControlGoesDownToo(t *testing.T) {
	d := dialler()
	d.tree, d.channel = 1, control
	if o := shakeHands(d, jobSecret, jobSecret); o.dialErr != nil || o.admitErr != nil {
		t.Error(o.dialErr, o.admitErr)
	}
}

func TestHandshakeRefuses(t *testing.T) {
	other := [32]byte{43}
	change := func(h hello, change func(*hello)) hello { change(&h); return h }
	for name, c := range map[string]struct {
		hello             hello
		secret            [32]byte
		dialler, listener string // what the error of each end says
	}{
		"a dialler with another secret": {
			dialler(), other,
			"doesn't know the job's secret", "wait for the proof",
		},
		"another version": {
			change(dialler(), func(h *hello) { h.version = 7 }), jobSecret,
			"protocol version 4, this node 7", "protocol version 7, this node 4",
		},
		"a rank that isn't there": {
			change(dialler(), func(h *hello) { h.to = 4 }), jobSecret,
			"another rank", "it wants rank 4",
		},
		"a rank beyond the roster": {
			change(dialler(), func(h *hello) { h.from = 8 }), jobSecret,
			"another rank", "calls itself rank 8",
		},
		"its own rank": {
			change(dialler(), func(h *hello) { h.from = 3 }), jobSecret,
			"another rank", "calls itself rank 3",
		},
		"no such channel": {
			change(dialler(), func(h *hello) { h.channel = channels }), jobSecret,
			"not above", "channel 3 of tree 0",
		},
		"no such tree": {
			change(dialler(), func(h *hello) { h.tree = 2 }), jobSecret,
			"not above", "channel 1 of tree 2",
		},
		"one from above": {
			change(dialler(), func(h *hello) { h.tree = 1 }), jobSecret,
			"not above", "rank 5 is above",
		},
		"another roster": {
			change(dialler(), func(h *hello) { h.fingerprint = 1 }), jobSecret,
			"roster", "roster",
		},
	} {
		o := shakeHands(c.hello, c.secret, jobSecret)
		for end, e := range map[string]struct {
			err  error
			want string
		}{"dialler": {o.dialErr, c.dialler}, "listener": {o.admitErr, c.listener}} {
			if e.err == nil || !strings.Contains(e.err.Error(), e.want) {
				t.Errorf("%s: the %s says %v, want %q", name, end, e.err, e.want)
			}
		}
	}
}

// TestDiallerWantsTheRankItDialled: a listener of the job that answers in another's place has the
// secret, and is still not believed.
func TestDiallerWantsTheRankItDialled(t *testing.T) {
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	go func() {
		defer far.Close()
		greeting := make([]byte, helloSize)
		_, _ = io.ReadFull(far, greeting)
		bare := appendChallenge(nil, protocolVersion, refusedNot, 4, newNonce())
		said := transcript{secret: &jobSecret, greeting: greeting, bare: bare}
		_, _ = far.Write(append(bare, said.prove(roleListener)...))
	}()
	_, _, err := introduce(near, &jobSecret, dialler())
	if err == nil || !strings.Contains(err.Error(), "rank 4 answers") {
		t.Errorf("the dialler says %v", err)
	}
	_ = near.Close()
}

// TestListenerWantsAProofForThisConnection plays diallers without the secret that use what others said.
func TestListenerWantsAProofForThisConnection(t *testing.T) {
	recorded := shakeHands(dialler(), jobSecret, jobSecret)
	for name, answer := range map[string]func(challenge []byte) []byte{
		"replay":     func([]byte) []byte { return recorded.fromDialler[helloSize:] },
		"reflection": func(challenge []byte) []byte { return challenge[challengeBare:] },
		"zeros":      func([]byte) []byte { return make([]byte, proofSize) },
	} {
		near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
		refused := make(chan error)
		go func() {
			_, _, _, err := rank3.admit(far)
			refused <- err
		}()
		challenge := make([]byte, challengeSize)
		_, err := near.Write(recorded.fromDialler[:helloSize])
		if err == nil {
			_, err = io.ReadFull(near, challenge)
		}
		if err == nil {
			_, err = near.Write(answer(challenge))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := <-refused; err == nil || !strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the listener says %v", name, err)
		}
	}
}

// TestDiallerWantsAProof plays a listener without the secret.
func TestDiallerWantsAProof(t *testing.T) {
	recorded := shakeHands(dialler(), jobSecret, jobSecret)
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	_, _ = far.Write(recorded.toDiallers)
	if _, _, err := introduce(near, &jobSecret, dialler()); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("a recorded challenge: the dialler says %v", err)
	}

	// A node that is made to talk to itself gets its own words back.
	near, far = virtualPair(endpointAddr("a"), endpointAddr("b"))
	go func() {
		echo := make([]byte, challengeSize)
		_, _ = io.ReadFull(far, echo[:helloSize])
		_, _ = far.Write(echo)
	}()
	echoed := dialler()
	echoed.channel = small // whose number is also that of no refusal
	if _, _, err := introduce(near, &jobSecret, echoed); err == nil || !strings.Contains(err.Error(), "rank 5 answers") {
		t.Errorf("its own echo: the dialler says %v", err)
	}
}

func TestStrangersAreSentAway(t *testing.T) {
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	_, _ = near.Write(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 10))
	if _, _, _, err := rank3.admit(far); !errors.Is(err, errStranger) {
		t.Errorf("the listener says %v", err)
	}
	if n, _ := far.Read(make([]byte, 1000)); n != 160-helloSize {
		t.Errorf("%d of 160 bytes were read from a stranger", 160-n)
	}
}

// TestHalfOpenConnectionsEnd: who says nothing, or not enough, is closed when its time is up.
func TestHalfOpenConnectionsEnd(t *testing.T) {
	for name, words := range map[string][]byte{
		"nothing":      nil,
		"half a hello": []byte(magic),
		"no proof":     dialler0().append(nil, newNonce()),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, origin := pfs(t, 1)
				c := start(t, plan{nodes: 2, origin: origin, config: func(cfg *Config) { cfg.Secret = jobSecret }})
				conn, err := c.members[0].transport.Dial(t.Context(), c.nodes[0].Endpoints[0])
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, _ = conn.Write(words)
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("the connection ends with %v", err)
				}
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("the connection ends after %v", took)
				}
				_ = conn.Close()
			})
		})
	}
}

// dialler0 is rank 1 calling rank 0 of a cluster of two.
func dialler0() hello {
	f, _ := NewForest([]Node{{Host: "x0"}, {Rank: 1, Host: "x1"}}, 0, 0)
	return hello{version: protocolVersion, from: 1, to: 0, fingerprint: f.fingerprint}
}

// TestStrangersDontKeepOthersOut: as many as may be unproven hang, and a peer still comes in when
// their time is up.
func TestStrangersDontKeepOthersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, timing: Timing{Dial: time.Minute, Ping: time.Minute}})
		root, child := c.at(0, 0), c.at(0, 1)
		for range maxStrangers {
			if _, err := root.transport.Dial(t.Context(), root.nodes[root.self].Endpoints[0]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		child.stat(t, "/d/f0")
		if child.Stats().Direct != 0 || tree.Count("lstat", "/d/f0") != 1 {
			t.Error("the child did not get through to its parent")
		}
	})
}
