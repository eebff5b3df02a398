package fabric

import (
	"encoding/binary"
	"errors"
)

// kind is what a message is for.
type kind uint8

const (
	kindConnect kind = iota + 1 // asks for a connection
	kindAccept                  // gives it
	kindRefuse                  // doesn't
	kindData
	kindCredit // gives room back, and says nothing else
	kindClose  // its sender neither writes nor reads any more
	kindClosed // the answer to kindClose, after which nothing comes
	kindReset  // its sender knows no such connection, or nothing more of it
)

// header begins every message.
//
// A message's tag is the receiver's number of the connection, which is random; tagConnect where it has none yet.
type header struct {
	kind  kind
	seq   uint32 // counts what one end sends over a connection, from 0
	from  uint64 // the sender's number of the connection
	grant uint32 // so many bytes more may be sent to the sender
	addr  []byte // the sender's address, which libfabric does not tell
}

const (
	fixedHeader = 24
	headerRoom  = fixedHeader + maxAddress

	// maxData is the most data in a message, in bytes.
	maxData     = 64 << 10
	messageSize = headerRoom + maxData
	// smallData is the most data in a small message, for which there are places of their own, so that it
	// never waits for large ones.
	smallData   = 2 << 10
	smallPlaces = headerRoom + smallData

	tagConnect = 0
	// numberBits is the width of the numbers of connections: of the tags of CXI.
	numberBits = 48

	// protocol tells these messages from others' and from those of an incompatible copper.
	protocol = 0xc0f1
)

// append is the header's bytes: kind, length of the address, protocol, seq, from, grant, 4 zeros, address.
func (h header) append(b []byte) []byte {
	b = append(b, byte(h.kind), byte(len(h.addr)))
	b = binary.LittleEndian.AppendUint16(b, protocol)
	b = binary.LittleEndian.AppendUint32(b, h.seq)
	b = binary.LittleEndian.AppendUint64(b, h.from)
	b = binary.LittleEndian.AppendUint32(b, h.grant)
	b = append(b, 0, 0, 0, 0)
	return append(b, h.addr...)
}

var errForeign = errors.New("not a message of ours")

// decode takes a message apart; what it returns is part of b.
func decode(b []byte) (h header, data []byte, err error) {
	if len(b) < fixedHeader || binary.LittleEndian.Uint16(b[2:]) != protocol {
		return header{}, nil, errForeign
	}
	h = header{
		kind:  kind(b[0]),
		seq:   binary.LittleEndian.Uint32(b[4:]),
		from:  binary.LittleEndian.Uint64(b[8:]),
		grant: binary.LittleEndian.Uint32(b[16:]),
	}
	end := fixedHeader + int(b[1])
	if h.kind < kindConnect || h.kind > kindReset || h.from == tagConnect || h.from>>numberBits != 0 ||
		b[1] == 0 || b[1] > maxAddress || end > len(b) {
		return header{}, nil, errForeign
	}
	h.addr, data = b[fixedHeader:end], b[end:]
	if len(data) > maxData || h.kind != kindData && len(data) > 0 {
		return header{}, nil, errForeign
	}
	return h, data, nil
}
