package overlay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The handshake: both ends prove that they know the job's secret before one frame is read.
//
//	dialler → listener   hello      who I am, whom I want, on which channel, encrypted or not, my nonce
//	                     TLS 1.3    if the hello says so; what follows is inside it
//	listener → dialler   challenge  who I am, my nonce, my proof
//	dialler → listener   proof      my proof
//
// A proof is an HMAC-SHA-256, keyed by the secret, over the prover's role, the hello, the challenge
// before the proof in it and the binding of the TLS channel, if there is one. So it holds for these
// two ranks, this channel, this protocol version and these nonces only, and neither end's proof
// passes for the other's.
//
// All three have a fixed size, so a stranger can make a node read 96 bytes and no more; with
// encryption, a TLS hello between them, once it has named a roster that it should not know. A refusal
// is a challenge that says so, and never encrypted. Magic, version and refusal keep their places and
// the first two messages their sizes in every version of the protocol, so that two versions can
// refuse each other by name.
//
//	hello      magic [8], version u16, channel u8, encrypted u8, from u32, to u32, tree u32, fingerprint u64, nonce [32]
//	challenge  magic [8], version u16, refusal u8, 0 u8, rank u32, nonce [32], proof [32]
const (
	magic           = "COPPERHI"
	protocolVersion = 4

	nonceSize     = 32
	helloSize     = 64
	challengeSize = 80
	proofSize     = sha256.Size
	challengeBare = challengeSize - proofSize // what the proofs cover of it

	roleListener = "copper listener"
	roleDialler  = "copper dialler"
	roleSession  = "copper session" // no proof: names the connection's frames

	// farewell is how much of what a refused dialler has sent already is read before its connection
	// is closed, in bytes. Closed with something unread it would be reset, and the refusal might be lost.
	farewell = 8 << 10
)

var (
	// errStranger: what connects is no Copper daemon at all.
	errStranger = errors.New("not a Copper daemon")
	errSecret   = errors.New("it doesn't know the job's secret")
)

// hello is what a dialler says of itself.
type hello struct {
	version     uint16
	channel     channel
	encrypted   bool   // what follows the hello
	from, to    int    // ranks
	tree        int    // whose requests the connection is for
	fingerprint uint64 // of the Forest
}

func (h hello) append(b []byte, nonce []byte) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint16(b, h.version)
	b = append(b, byte(h.channel), bit(h.encrypted))
	b = le.AppendUint32(b, uint32(h.from))
	b = le.AppendUint32(b, uint32(h.to))
	b = le.AppendUint32(b, uint32(h.tree))
	b = le.AppendUint64(b, h.fingerprint)
	return append(b, nonce...)
}

func decodeHello(b []byte) (hello, error) {
	if string(b[:len(magic)]) != magic {
		return hello{}, errStranger
	}
	d := decoder{rest: b[len(magic):]}
	h := hello{version: d.u16(), channel: channel(d.u8()), encrypted: d.u8() != 0}
	h.from, h.to, h.tree, h.fingerprint = int(d.u32()), int(d.u32()), int(d.u32()), d.u64()
	return h, nil
}

// refusal is why a listener turns down a hello. It comes unproven, so it is only ever a reason to
// ask somebody else.
type refusal uint8

const (
	refusedNot refusal = iota
	refusedVersion
	refusedRoster
	refusedRank
	refusedPlace
	refusedEncryption
	refusedCrowd
)

func (r refusal) String() string {
	switch r {
	case refusedVersion:
		return "it speaks another version of the protocol"
	case refusedRoster:
		return "its roster or its trees are others"
	case refusedRank:
		return "it has another rank"
	case refusedPlace:
		return "it is not above this node in that tree"
	case refusedEncryption:
		return "one of the two nodes encrypts and the other doesn't: give --encrypt to all nodes of the job or to none"
	case refusedCrowd:
		return "it has as many connections as it can"
	}
	return fmt.Sprintf("it refuses for reason %d", uint8(r))
}

func appendChallenge(b []byte, version uint16, r refusal, rank int, nonce []byte) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint16(b, version)
	b = append(b, byte(r), 0)
	b = le.AppendUint32(b, uint32(rank))
	return append(b, nonce...)
}

// introduce is the dialler's part. It returns the connection as it goes on and the session. The
// caller closes conn in any case.
func introduce(conn net.Conn, secret *[32]byte, me hello) (net.Conn, uint64, error) {
	greeting := me.append(nil, newNonce())
	if _, err := conn.Write(greeting); err != nil {
		return nil, 0, fmt.Errorf("say hello: %w", err)
	}
	var binding []byte
	if me.encrypted {
		var err error
		if conn, binding, err = encryptDialler(conn, me); err != nil {
			return nil, 0, fmt.Errorf("begin encryption: %w", err)
		}
	}
	answer := make([]byte, challengeSize)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, 0, fmt.Errorf("wait for the challenge: %w", err)
	}
	if err := me.accepts(answer); err != nil {
		return nil, 0, err
	}
	said := transcript{secret, greeting, answer[:challengeBare], binding}
	if !hmac.Equal(answer[challengeBare:], said.prove(roleListener)) {
		return nil, 0, errSecret
	}
	if _, err := conn.Write(said.prove(roleDialler)); err != nil {
		return nil, 0, fmt.Errorf("send the proof: %w", err)
	}
	return conn, said.session(), nil
}

// accepts holds a challenge against the hello that it answers. The proof in it is another matter.
func (h hello) accepts(challenge []byte) error {
	if string(challenge[:len(magic)]) != magic {
		return errStranger
	}
	d := decoder{rest: challenge[len(magic):]}
	version, refused := d.u16(), refusal(d.u8())
	d.u8()
	rank := int(d.u32())
	switch {
	case version != h.version:
		return fmt.Errorf("it speaks protocol version %d, this node %d", version, h.version)
	case refused != refusedNot:
		return errors.New(refused.String())
	case rank != h.to:
		return fmt.Errorf("rank %d answers", rank)
	}
	return nil
}

// door is what a listener knows of itself.
type door struct {
	secret  *[32]byte
	self    int
	forest  *Forest
	encrypt bool
	full    bool // no more connections can be taken
}

// admit is the listener's part. It returns the connection as it goes on, what the dialler said of
// itself, and the session. The caller closes conn in any case.
func (l door) admit(conn net.Conn) (net.Conn, hello, uint64, error) {
	greeting := make([]byte, helloSize)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return nil, hello{}, 0, fmt.Errorf("wait for the hello: %w", err)
	}
	caller, err := decodeHello(greeting)
	if err != nil {
		return nil, hello{}, 0, err
	}
	if r, err := l.judge(caller); err != nil {
		refused := appendChallenge(nil, protocolVersion, r, l.self, make([]byte, nonceSize+proofSize))
		if _, failed := conn.Write(refused); failed == nil { // a courtesy; the refusal stands without it
			_, _ = io.CopyN(io.Discard, conn, farewell)
		}
		return nil, caller, 0, err
	}
	var binding []byte
	if l.encrypt {
		if conn, binding, err = encryptListener(conn); err != nil {
			return nil, caller, 0, fmt.Errorf("begin encryption: %w", err)
		}
	}
	bare := appendChallenge(nil, protocolVersion, refusedNot, l.self, newNonce())
	said := transcript{l.secret, greeting, bare, binding}
	if _, err := conn.Write(append(bare[:challengeBare:challengeBare], said.prove(roleListener)...)); err != nil {
		return nil, caller, 0, fmt.Errorf("send the challenge: %w", err)
	}
	proof := make([]byte, proofSize)
	if _, err := io.ReadFull(conn, proof); err != nil {
		return nil, caller, 0, fmt.Errorf("wait for the proof: %w", err)
	}
	if !hmac.Equal(proof, said.prove(roleDialler)) {
		return nil, caller, 0, errSecret
	}
	return conn, caller, said.session(), nil
}

// judge holds a hello against what the listener knows.
//
// A connection for questions of a tree must come from below in it. Who asks whom within a tree is
// thus ordered, and no chain of nodes that wait for one another can close.
func (l door) judge(h hello) (refusal, error) {
	self, f := l.self, l.forest
	switch {
	case h.version != protocolVersion:
		return refusedVersion, fmt.Errorf("it speaks protocol version %d, this node %d", h.version, protocolVersion)
	case h.encrypted != l.encrypt:
		return refusedEncryption, errors.New(refusedEncryption.String())
	case h.fingerprint != f.fingerprint:
		return refusedRoster, errors.New("its roster or its trees are others")
	case h.to != self:
		return refusedRank, fmt.Errorf("it wants rank %d", h.to)
	case h.from >= f.nodes, h.from == self:
		return refusedRank, fmt.Errorf("it calls itself rank %d", h.from)
	case h.channel >= channels, h.tree >= f.trees:
		return refusedPlace, fmt.Errorf("it wants channel %d of tree %d", uint8(h.channel), h.tree)
	case h.channel != control && f.Position(h.tree, h.from) < f.Position(h.tree, self):
		return refusedPlace, fmt.Errorf("rank %d is above this node in tree %d, and asks", h.from, h.tree)
	case l.full:
		return refusedCrowd, errors.New("there are as many connections as can be")
	}
	return refusedNot, nil
}

// transcript is what both ends of a handshake have said and seen.
type transcript struct {
	secret         *[32]byte
	greeting, bare []byte // the hello, and the challenge before its proof
	binding        []byte // of the TLS channel; none without encryption
}

// prove is the proof of the one in that role.
func (t transcript) prove(role string) []byte {
	mac := hmac.New(sha256.New, t.secret[:])
	mac.Write([]byte(role))
	mac.Write([]byte{0})
	mac.Write(t.greeting)
	mac.Write(t.bare)
	mac.Write(t.binding)
	return mac.Sum(nil)
}

// session is the number that every frame of the connection carries.
func (t transcript) session() uint64 {
	return binary.LittleEndian.Uint64(t.prove(roleSession))
}

func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // it ends the program rather than fail
	return nonce
}
