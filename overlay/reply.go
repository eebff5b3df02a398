package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// reply is an answer as it travels.
type reply struct {
	status  status
	payload []byte
	// data is what a kindReadChunk brought, already in its place, of which it takes the first
	// length bytes; the checksums are not checked yet.
	data   *store.Chunk
	form   chunkForm
	length int
	took   time.Duration // from the sending of the request
}

// chunkForm is what goes before the bytes of a chunk:
//
//	encoding u8
//	crc      u32 of the file's data
//	sum      u32 of the bytes that follow; where they are the data as it is, crc again
type chunkForm struct {
	encoding store.Encoding
	crc, sum uint32
}

func (f chunkForm) append(b []byte) []byte {
	b = append(b, byte(f.encoding))
	b = binary.LittleEndian.AppendUint32(b, f.crc)
	return binary.LittleEndian.AppendUint32(b, f.sum)
}

// decodeForm takes the form of a chunk of which length bytes come where it has room bytes when it is
// raw. Encoded it is less, or it would have been left as it was.
func decodeForm(b []byte, length, room int) (chunkForm, error) {
	d := decoder{rest: b}
	f := chunkForm{encoding: store.Encoding(d.u8()), crc: d.u32(), sum: d.u32()}
	switch {
	case f.encoding >= store.Encodings:
		return f, fmt.Errorf("a chunk in %s", f.encoding)
	case f.encoding == store.Raw && length == room, f.encoding != store.Raw && 0 < length && length < room:
		return f, d.done()
	}
	return f, fmt.Errorf("a chunk (%s) of %d bytes, where %d were asked for", f.encoding, length, room)
}

// size is the number of bytes that came.
func (r reply) size() int {
	if r.data != nil {
		return r.length
	}
	return len(r.payload)
}

// problem is what a reply says whose status isn't OK. For an errno the payload is the lease on
// which an absence may be remembered; for a status of the transport it is a text.
//
// A *store.Error is the PFS's answer; any other error is the peer's failure to give one.
func (r reply) problem(q request) error {
	if r.status == statusOK {
		return nil
	}
	if r.status > maxErrno {
		if len(r.payload) == 0 {
			return errors.New(r.status.String())
		}
		return fmt.Errorf("%s: %q", r.status, r.payload)
	}
	d := decoder{rest: r.payload}
	e := &store.Error{Op: kinds[q.kind].op, Path: q.path, Errno: syscall.Errno(r.status), Expires: d.lease()}
	if err := d.done(); err != nil {
		return err
	}
	return e
}

func (r reply) attr() (store.Attr, error) {
	d := decoder{rest: r.payload}
	return d.attr(), d.done()
}

func (r reply) target() (string, error) { return string(r.payload), nil }

// chunk hands over the data that came, if it is what left the PFS, or what that was encoded to there.
// What is encoded is not decoded for it.
func (r reply) chunk() (*store.Chunk, error) {
	var intact bool
	if f := r.form; f.encoding == store.Raw {
		intact = f.sum == f.crc && r.data.SealAs(f.crc)
	} else {
		intact = r.data.SealEncoded(f.encoding, r.length, f.crc, f.sum)
	}
	if !intact {
		r.data.Release()
		return nil, errors.New("the data that came has another checksum")
	}
	return r.data, nil
}

// A listing travels as
//
//	shape   u8    bits, below
//	lease   u64
//	attr          of the directory
//	count   u32
//	entries       count of {inode u64, type u8, length of the name u16}
//	names         one after the other
//
// and one that is what the caller holds already as shape and lease alone.
const (
	shapeUnchanged = 1 << iota
	shapeComplete
	shapeSettled

	entrySize    = 8 + 1 + 2
	listingFixed = 1 + 8 + attrSize + 4
)

// renews tells whether a caller who holds a listing of version known, complete and settled, may
// keep it (the zero Version: it holds none), given the listing that was found now: its version is still the same, so nothing has
// changed. Whether found is settled doesn't matter: should it be of the same instant as a
// change that its version doesn't show, what the caller holds is the later one.
func renews(found *store.Listing, known store.Version) bool {
	return known != store.Version{} && found.Complete && found.Dir.Version() == known
}

func appendUnchanged(b []byte, expires time.Time) []byte {
	return appendLease(append(b, shapeUnchanged), expires)
}

// listingSize is the length of an encoded listing. It fails for one that is too large for a frame.
func listingSize(l *store.Listing) (int, error) {
	size := listingFixed
	for _, e := range l.Entries {
		if len(e.Name) > maxName {
			return 0, fmt.Errorf("a name of %d bytes", len(e.Name))
		}
		size += entrySize + len(e.Name)
	}
	if size > maxListing {
		return 0, fmt.Errorf("a listing of %d bytes", size)
	}
	return size, nil
}

// encodeListing encodes a listing of that size.
func encodeListing(l *store.Listing, size int) []byte {
	b := make([]byte, 0, size)
	b = append(b, bit(l.Complete)*shapeComplete|bit(l.Settled)*shapeSettled)
	b = appendLease(b, l.Expires)
	b = appendAttr(b, l.Dir)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(l.Entries)))
	for _, e := range l.Entries {
		b = binary.LittleEndian.AppendUint64(b, e.Ino)
		b = append(b, byte(e.Type>>typeShift))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Name)))
	}
	for _, e := range l.Entries {
		b = append(b, e.Name...)
	}
	return b
}

// typeShift brings the file type in a mode, S_IFMT, down to one byte.
const typeShift = 12

// listing decodes a listing; known is what the caller mentioned in its request, or nil.
func (r reply) listing(known *store.Listing) (*store.Listing, error) {
	d := decoder{rest: r.payload}
	bits := d.u8()
	expires := d.lease()
	if bits&shapeUnchanged != 0 {
		if known == nil {
			return nil, errMalformed
		}
		return known.Renewed(expires), d.done()
	}
	l := &store.Listing{
		Dir:      d.attr(),
		Complete: bits&shapeComplete != 0,
		Settled:  bits&shapeSettled != 0,
		Expires:  expires,
	}
	count := int(d.u32())
	fixed := decoder{rest: d.take(count * entrySize)}
	if d.broken {
		return nil, errMalformed
	}
	l.Entries = make([]store.Entry, count)
	names := string(d.remainder()) // one allocation, of which every name is a part
	for i := range l.Entries {
		e := &l.Entries[i]
		e.Ino, e.Type = fixed.u64(), uint32(fixed.u8())<<typeShift
		length := int(fixed.u16())
		if length == 0 || length > min(maxName, len(names)) {
			return nil, errMalformed
		}
		e.Name, names = names[:length], names[length:]
		if !nameable(e.Name) || i > 0 && e.Name < l.Entries[i-1].Name {
			return nil, errMalformed
		}
	}
	if names != "" {
		return nil, errMalformed
	}
	return l, nil
}

// nameable tells whether a directory can hold that name. A listing never has "." and "..".
func nameable(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}
