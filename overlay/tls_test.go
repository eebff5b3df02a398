package overlay

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
)

func encryptedDialler() hello {
	d := dialler()
	d.encrypted = true
	return d
}

func TestEncryptedHandshake(t *testing.T) {
	o := shakeHands(encryptedDialler(), jobSecret, jobSecret)
	if o.dialErr != nil || o.admitErr != nil {
		t.Fatal(o.dialErr, o.admitErr)
	}
	if o.caller != encryptedDialler() || o.dialled != o.admitted {
		t.Errorf("the listener knows its caller as %+v; sessions %x and %x", o.caller, o.dialled, o.admitted)
	}
	if bytes.Contains(o.toDiallers, []byte(magic)) || bytes.Count(o.fromDialler, []byte(magic)) != 1 {
		t.Error("more than the hello goes over the wire in plain")
	}
}

// TestEncryptionMustAgree: neither end does without what it was told to do, and both say which
// option it is about.
func TestEncryptionMustAgree(t *testing.T) {
	for name, o := range map[string]outcome{
		"only the dialler encrypts":  shakeHandsWith(encryptedDialler(), jobSecret, jobSecret, false),
		"only the listener encrypts": shakeHandsWith(dialler(), jobSecret, jobSecret, true),
	} {
		for end, err := range map[string]error{"dialler": o.dialErr, "listener": o.admitErr} {
			if err == nil || !strings.Contains(err.Error(), "--encrypt") {
				t.Errorf("%s: the %s says %v", name, end, err)
			}
		}
	}
}

// late is a connection whose every write but the first takes its time.
type late struct {
	net.Conn
	begun bool
}

func (l *late) Write(p []byte) (int, error) {
	if l.begun {
		time.Sleep(time.Second)
	}
	l.begun = true
	return l.Conn.Write(p)
}

// TestRefusalIsHeard: one who is refused while it is still talking learns why.
func TestRefusalIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin})
		conn, err := c.members[1].transport.Dial(t.Context(), c.nodes[0].Endpoints[0])
		if err != nil {
			t.Fatal(err)
		}
		h := c.members[1].hello(0, 0, control)
		h.encrypted = true
		if _, _, err := introduce(&late{Conn: conn}, &c.members[1].secret, h); err == nil || !strings.Contains(err.Error(), "--encrypt") {
			t.Errorf("it says %v", err)
		}
		_ = conn.Close()
	})
}

// TestEncryptedHandshakeRefuses: what comes in plain where TLS is expected is an error that can be
// understood, and the secret counts as ever.
func TestEncryptedHandshakeRefuses(t *testing.T) {
	d := encryptedDialler()
	d.to = 4
	if o := shakeHands(d, jobSecret, jobSecret); o.dialErr == nil || !strings.Contains(o.dialErr.Error(), "another rank") {
		t.Errorf("a refusal: the dialler says %v", o.dialErr)
	}
	o := shakeHands(encryptedDialler(), [32]byte{43}, jobSecret)
	if o.dialErr == nil || !strings.Contains(o.dialErr.Error(), "secret") || o.admitErr == nil {
		t.Errorf("another secret: %v, %v", o.dialErr, o.admitErr)
	}
	// A listener that takes the hello for one without encryption, or somebody who changes it on its way.
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	recorded := shakeHands(dialler(), jobSecret, jobSecret)
	_, _ = far.Write(recorded.toDiallers)
	if _, _, err := introduce(near, &jobSecret, encryptedDialler()); err == nil || !strings.Contains(err.Error(), "unencrypted") {
		t.Errorf("a challenge in plain: the dialler says %v", err)
	}
}

// TestNobodyInTheMiddle: who has a channel with either end and passes on all that it hears is found out
// by both.
func TestNobodyInTheMiddle(t *testing.T) {
	near, dialled := virtualPair(endpointAddr("a"), endpointAddr("b"))
	dialling, far := virtualPair(endpointAddr("c"), endpointAddr("d"))
	var wg sync.WaitGroup
	wg.Go(func() { // the one in the middle
		greeting := make([]byte, helloSize)
		_, _ = io.ReadFull(dialled, greeting)
		_, _ = dialling.Write(greeting)
		toDialler, _, err := encryptListener(dialled)
		if err != nil {
			t.Error(err)
			return
		}
		toListener, _, err := encryptDialler(dialling, encryptedDialler())
		if err != nil {
			t.Error(err)
			return
		}
		wg.Go(func() {
			_, _ = io.Copy(toListener, toDialler)
			_ = toListener.Close()
		})
		challenge := make([]byte, challengeSize)
		if _, err := io.ReadFull(toListener, challenge); err != nil || string(challenge[:len(magic)]) != magic {
			t.Errorf("the one in the middle does not even hear the challenge: %v", err)
		}
		_, _ = toDialler.Write(challenge)
	})
	var admitErr error
	wg.Go(func() {
		defer far.Close()
		_, _, _, admitErr = door{secret: &jobSecret, self: 3, forest: shakers, encrypt: true}.admit(far)
	})
	_, _, err := introduce(near, &jobSecret, encryptedDialler())
	if err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("the dialler says %v", err)
	}
	_ = near.Close()
	wg.Wait()
	if admitErr == nil {
		t.Error("the listener lets somebody in")
	}
}

// TestProofsAreOfOneChannel: the listener as well wants a proof that was made for its channel.
func TestProofsAreOfOneChannel(t *testing.T) {
	near, far := virtualPair(endpointAddr("a"), endpointAddr("b"))
	refused := make(chan error, 1)
	go func() {
		_, _, _, err := door{secret: &jobSecret, self: 3, forest: shakers, encrypt: true}.admit(far)
		refused <- err
	}()
	greeting := encryptedDialler().append(nil, newNonce())
	_, _ = near.Write(greeting)
	open, binding, err := encryptDialler(near, encryptedDialler())
	if err != nil {
		t.Fatal(err)
	}
	challenge := make([]byte, challengeSize)
	if _, err := io.ReadFull(open, challenge); err != nil {
		t.Fatal(err)
	}
	said := transcript{secret: &jobSecret, greeting: greeting, bare: challenge[:challengeBare], binding: binding}
	if !bytes.Equal(said.prove(roleListener), challenge[challengeBare:]) {
		t.Error("the two ends don't have the same binding")
	}
	said.binding = make([]byte, bindingSize)
	_, _ = open.Write(said.prove(roleDialler))
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("the listener says %v", err)
	}
	_ = near.Close()
}

// tap is a Transport that keeps all that its dialled connections carry.
type tap struct {
	Transport
	mu   sync.Mutex
	seen bytes.Buffer
}

func (n *tap) Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	conn, err := n.Transport.Dial(ctx, endpoint)
	return &tapped{conn, n}, err
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) keep(p []byte) {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	c.tap.seen.Write(p)
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.keep(p[:n])
	return n, err
}

func (c *tapped) Write(p []byte) (int, error) {
	c.keep(p)
	return c.Conn.Write(p)
}

// TestEncryptionHides: neither names nor data can be read off the network.
func TestEncryptionHides(t *testing.T) {
	for _, encrypt := range []bool{false, true} {
		tree, origin := pfs(t, 1)
		tree.Write("/d/a telling name", bytes.Repeat([]byte("telling data"), 1000))
		network := &tap{Transport: NewVirtual()}
		c := start(t, plan{
			nodes: 2, origin: origin, transport: func(int) Transport { return network },
			config: func(cfg *Config) { cfg.Encrypt = encrypt },
		})
		child := c.at(0, 1)
		file := store.File{Path: "/d/a telling name", Version: child.stat(t, "/d/a telling name").Version()}
		chunk, err := child.ReadChunk(t.Context(), file, 0)
		if err != nil {
			t.Fatal(err)
		}
		chunk.Release()
		if child.Stats().Direct != 0 {
			t.Error("the parent was not asked")
		}
		child.kill()
		for _, words := range []string{"telling name", "telling data"} {
			if seen := bytes.Contains(network.seen.Bytes(), []byte(words)); seen == encrypt {
				t.Errorf("encrypted %v: %q seen %v", encrypt, words, seen)
			}
		}
	}
}

// TestMixedJob: a node that was started without --encrypt gets nothing from the others, and is told why.
func TestMixedJob(t *testing.T) {
	_, origin := pfs(t, 1)
	c := start(t, plan{nodes: 2, origin: origin, config: func(cfg *Config) { cfg.Encrypt = cfg.Self == 0 }})
	for _, m := range c.members {
		_, err := m.peer(1-m.self).connect(t.Context(), way{controlTree, control})
		if err == nil || !strings.Contains(err.Error(), "--encrypt") {
			t.Errorf("rank %d: %v", m.self, err)
		}
	}
	child := c.at(0, 1)
	if child.stat(t, "/d/f0"); child.Stats().Direct != 1 {
		t.Error("it is answered all the same")
	}
}

// TestEncryptionIsBegunInTime: one who hangs where TLS begins is left within the time of a handshake.
func TestEncryptionIsBegunInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 1)
		c := start(t, plan{nodes: 2, origin: origin, config: func(cfg *Config) { cfg.Encrypt = true }})
		for _, words := range [][]byte{nil, {0x16}, {0x16, 3, 1, 2, 0, 1, 0}} {
			h := c.members[1].hello(0, 0, control)
			conn, err := c.members[1].transport.Dial(t.Context(), c.nodes[0].Endpoints[0])
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, _ = conn.Write(append(h.append(nil, newNonce()), words...))
			_, _ = io.Copy(io.Discard, conn)
			if took := time.Since(began); took != c.members[0].timing.Handshake {
				t.Errorf("the listener waits %v for what follows %x", took, words)
			}
			_ = conn.Close()
		}

		ln, err := c.members[1].transport.Listen("mem://")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		child := c.members[1]
		child.nodes = []Node{{Endpoints: []string{ln.Addr().String()}}, {}}
		began := time.Now()
		if _, err := child.peer(0).connect(t.Context(), way{controlTree, control}); err == nil {
			t.Error("connected to one who says nothing")
		}
		if took := time.Since(began); took != child.timing.Dial {
			t.Errorf("the dialler waits %v", took)
		}
	})
}
