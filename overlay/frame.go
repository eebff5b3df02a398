package overlay

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/copper-hpc/copper/store"
)

// Everything after the handshake travels in frames: a header of 24 bytes, little endian as all
// numbers of the protocol, and a payload.
//
//	length  u32   of the payload, in bytes
//	kind    u8    what is asked; a reply has the kind of its request
//	flags   u8
//	status  u16   of a reply: 0, an errno of the PFS, or one of the transport's own
//	id      u64   the request's, chosen by the one who asks
//	session u64   of the connection, from the handshake
type header struct {
	length  int
	kind    kind
	flags   uint8
	status  status
	id      uint64
	session uint64
}

const headerSize = 24

// flagReply tells replies from requests.
const flagReply uint8 = 1

func (h header) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(h.length))
	b = append(b, byte(h.kind), h.flags)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.status))
	b = binary.LittleEndian.AppendUint64(b, h.id)
	return binary.LittleEndian.AppendUint64(b, h.session)
}

// decodeHeader wants headerSize bytes.
func decodeHeader(b []byte) header {
	return header{
		length:  int(binary.LittleEndian.Uint32(b[:])),
		kind:    kind(b[4]),
		flags:   b[5],
		status:  status(binary.LittleEndian.Uint16(b[6:])),
		id:      binary.LittleEndian.Uint64(b[8:]),
		session: binary.LittleEndian.Uint64(b[16:]),
	}
}

// channel is one of the connections between a node and its parent in a tree: several, so that a
// stat never waits behind a megabyte, nor a control request behind a file system that hangs.
type channel uint8

const (
	small   channel = iota // attributes and link targets
	bulk                   // file data and listings
	control                // control requests
	channels
)

// inFlight bounds the requests of one connection that are not answered yet. The one who asks keeps
// to it, and is cut off if it doesn't. The one who answers can't be left to enforce it by reading no
// further: that would leave pings unanswered as well.
var inFlight = [channels]int{small: 256, bulk: 32, control: 16}

func (c channel) String() string {
	return [channels]string{"small", "bulk", "control"}[c]
}

// kind is what a frame asks, or answers.
type kind uint8

const (
	kindStat kind = 1 + iota
	kindList
	kindReadLink
	kindReadChunk
	kindControl
	kindPing   // answered at once, on any channel
	kindCancel // the caller of that id has left; answered by the request's own reply
	kindEnd
)

// Caps on what one frame may carry, in bytes. A length is held against them before anything is
// allocated for it.
const (
	maxPath     = 16 << 10 // longer ones never enter the overlay: the origin is asked directly
	maxName     = 4 << 10
	maxListing  = 64 << 20 // some two million names; larger ones are not listed through the overlay
	maxControl  = 64 << 20
	maxProblem  = 1 << 10   // what a reply says that isn't OK
	chunkHeader = 1 + 4 + 4 // its form, see chunkForm
)

// kinds is the table of what the protocol can ask. A request of PFS data is its path and a fixed part.
var kinds = [kindEnd]struct {
	name           string
	op             string // as errors name it
	channel        channel
	request, reply int // caps on the payloads
}{
	kindStat:      {"lstat", "lstat", small, versionSize + maxPath, attrSize},
	kindList:      {"readdir", "readdir", bulk, versionSize + maxPath, maxListing},
	kindReadLink:  {"readlink", "readlink", small, maxPath, maxPath},
	kindReadChunk: {"readfile", "read", bulk, versionSize + 8 + maxPath, chunkHeader + store.ChunkSize},
	kindControl:   {"control", "control", control, controlHeader + maxControl, maxControl},
}

func (k kind) String() string {
	switch {
	case k == kindPing:
		return "ping"
	case k == kindCancel:
		return "cancel"
	case kindStat <= k && k <= kindControl:
		return kinds[k].name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// asks tells whether k is a request that wants an answer and belongs on that channel.
func (k kind) asks(on channel) bool {
	return kindStat <= k && k <= kindControl && kinds[k].channel == on
}

// status of a reply. Up to maxErrno it is what the PFS said; those above concern only the node
// that gives them, and the question goes to somebody else.
type status uint16

const (
	statusOK status = 0
	maxErrno status = 4095

	statusBusy      status = 0xf001 // no memory came free in time
	statusCancelled status = 0xf002 // the request was cancelled, or its server is closing
	statusMalformed status = 0xf003 // the request makes no sense; the payload says why
	statusFailed    status = 0xf004 // any other failure that isn't the PFS's; the payload says which
)

func (s status) String() string {
	switch {
	case s == statusOK:
		return "ok"
	case s <= maxErrno:
		return syscall.Errno(s).Error()
	case s == statusBusy:
		return "busy"
	case s == statusCancelled:
		return "cancelled"
	case s == statusMalformed:
		return "malformed request"
	case s == statusFailed:
		return "failed"
	}
	return fmt.Sprintf("status %#x", uint16(s))
}
