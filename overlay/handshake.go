package overlay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The handshake: both ends prove that they know the job's secret before one frame is read.
//
//	dialler → listener   hello      who I am, whom I want, on which channel, my nonce
//	listener → dialler   challenge  who I am, my nonce, my proof
//	dialler → listener   proof      my proof
//
// A proof is an HMAC-SHA-256, keyed by the secret, over the prover's role, the hello and the
// challenge before the proof in it. So it holds for these two ranks, this channel, this protocol
// version and these nonces only, and neither end's proof passes for the other's.
//
// All three have a fixed size, so a stranger can make a node read 96 bytes and no more. Magic,
// version and refusal keep their places and the first two messages their sizes in every version of
// the protocol, so that two versions can refuse each other by name.
//
//	hello      magic [8], version u16, channel u8, 0 u8, from u32, to u32, tree u32, fingerprint u64, nonce [32]
//	challenge  magic [8], version u16, refusal u8, 0 u8, rank u32, nonce [32], proof [32]
const (
	magic           = "COPPERHI"
	protocolVersion = 2

	nonceSize     = 32
	helloSize     = 64
	challengeSize = 80
	proofSize     = sha256.Size
	challengeBare = challengeSize - proofSize // what the proofs cover of it

	roleListener = "copper listener"
	roleDialler  = "copper dialler"
	roleSession  = "copper session" // no proof: names the connection's frames
)

// errStranger: what connects is no Copper daemon at all.
var errStranger = errors.New("not a Copper daemon")

// hello is what a dialler says of itself.
type hello struct {
	version     uint16
	channel     channel
	from, to    int    // ranks
	tree        int    // whose requests the connection is for
	fingerprint uint64 // of the Forest
}

func (h hello) append(b []byte, nonce []byte) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint16(b, h.version)
	b = append(b, byte(h.channel), 0)
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
	h := hello{version: d.u16(), channel: channel(d.u8())}
	d.u8()
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

// introduce is the dialler's part. It returns the session.
func introduce(conn io.ReadWriter, secret *[32]byte, me hello) (uint64, error) {
	greeting := me.append(nil, newNonce())
	if _, err := conn.Write(greeting); err != nil {
		return 0, fmt.Errorf("say hello: %w", err)
	}
	answer := make([]byte, challengeSize)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return 0, fmt.Errorf("wait for the challenge: %w", err)
	}
	if string(answer[:len(magic)]) != magic {
		return 0, errStranger
	}
	d := decoder{rest: answer[len(magic):]}
	version, refused := d.u16(), refusal(d.u8())
	d.u8()
	rank := int(d.u32())
	switch {
	case version != me.version:
		return 0, fmt.Errorf("it speaks protocol version %d, this node %d", version, me.version)
	case refused != refusedNot:
		return 0, errors.New(refused.String())
	case rank != me.to:
		return 0, fmt.Errorf("rank %d answers", rank)
	}
	bare, proof := answer[:challengeBare], answer[challengeBare:]
	if !hmac.Equal(proof, prove(secret, roleListener, greeting, bare)) {
		return 0, errors.New("it doesn't know the job's secret")
	}
	if _, err := conn.Write(prove(secret, roleDialler, greeting, bare)); err != nil {
		return 0, fmt.Errorf("send the proof: %w", err)
	}
	return session(secret, greeting, bare), nil
}

// admit is the listener's part, as node self of the forest. It returns what the dialler said of
// itself and the session.
func admit(conn io.ReadWriter, secret *[32]byte, self int, f *Forest) (hello, uint64, error) {
	greeting := make([]byte, helloSize)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return hello{}, 0, fmt.Errorf("wait for the hello: %w", err)
	}
	caller, err := decodeHello(greeting)
	if err != nil {
		return hello{}, 0, err
	}
	if r, err := judge(caller, self, f); err != nil {
		refused := appendChallenge(nil, protocolVersion, r, self, make([]byte, nonceSize+proofSize))
		_, _ = conn.Write(refused) // a courtesy; the refusal stands without it
		return caller, 0, err
	}
	bare := appendChallenge(nil, protocolVersion, refusedNot, self, newNonce())
	if _, err := conn.Write(append(bare, prove(secret, roleListener, greeting, bare)...)); err != nil {
		return caller, 0, fmt.Errorf("send the challenge: %w", err)
	}
	proof := make([]byte, proofSize)
	if _, err := io.ReadFull(conn, proof); err != nil {
		return caller, 0, fmt.Errorf("wait for the proof: %w", err)
	}
	if !hmac.Equal(proof, prove(secret, roleDialler, greeting, bare)) {
		return caller, 0, errors.New("it doesn't know the job's secret")
	}
	return caller, session(secret, greeting, bare), nil
}

// judge holds a hello against what node self knows.
//
// A connection for questions of a tree must come from below in it. Who asks whom within a tree is
// thus ordered, and no chain of nodes that wait for one another can close.
func judge(h hello, self int, f *Forest) (refusal, error) {
	switch {
	case h.version != protocolVersion:
		return refusedVersion, fmt.Errorf("it speaks protocol version %d, this node %d", h.version, protocolVersion)
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
	}
	return refusedNot, nil
}

func prove(secret *[32]byte, role string, greeting, bare []byte) []byte {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte(role))
	mac.Write([]byte{0})
	mac.Write(greeting)
	mac.Write(bare)
	return mac.Sum(nil)
}

// session is the number that every frame of the connection carries.
func session(secret *[32]byte, greeting, bare []byte) uint64 {
	return binary.LittleEndian.Uint64(prove(secret, roleSession, greeting, bare))
}

func newNonce() []byte {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // it ends the program rather than fail
	return nonce
}
