package overlay

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/copper-hpc/copper/store"
)

// errMalformed: a payload is not what its kind says it is.
var errMalformed = errors.New("malformed payload")

// decoder takes values off the front of a payload. Past its end it gives zeros and remembers
// that; so one look at the end, by done, suffices. It never panics and never allocates.
type decoder struct {
	rest   []byte
	broken bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.broken, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) i64() int64 { return int64(d.u64()) }

// remainder is all that is left.
func (d *decoder) remainder() []byte { return d.take(len(d.rest)) }

// done tells whether the payload held all that was taken, and nothing else.
func (d *decoder) done() error {
	if d.broken || len(d.rest) > 0 {
		return errMalformed
	}
	return nil
}

const (
	versionSize = 5 * 8
	attrSize    = 8 + 8 + 4*4 + 3*8 + 4 + 3*8
)

func appendVersion(b []byte, v store.Version) []byte {
	for _, n := range [...]uint64{v.Dev, v.Ino, uint64(v.Size), uint64(v.Mtime), uint64(v.Ctime)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func (d *decoder) version() store.Version {
	return store.Version{Dev: d.u64(), Ino: d.u64(), Size: d.i64(), Mtime: d.i64(), Ctime: d.i64()}
}

func appendAttr(b []byte, a store.Attr) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, a.Dev)
	b = le.AppendUint64(b, a.Ino)
	b = le.AppendUint32(b, a.Mode)
	b = le.AppendUint32(b, a.Nlink)
	b = le.AppendUint32(b, a.UID)
	b = le.AppendUint32(b, a.GID)
	b = le.AppendUint64(b, a.Rdev)
	b = le.AppendUint64(b, uint64(a.Size))
	b = le.AppendUint64(b, uint64(a.Blocks))
	b = le.AppendUint32(b, uint32(a.BlockSize))
	b = le.AppendUint64(b, uint64(a.Atime))
	b = le.AppendUint64(b, uint64(a.Mtime))
	return le.AppendUint64(b, uint64(a.Ctime))
}

func (d *decoder) attr() store.Attr {
	return store.Attr{
		Dev: d.u64(), Ino: d.u64(),
		Mode: d.u32(), Nlink: d.u32(), UID: d.u32(), GID: d.u32(),
		Rdev: d.u64(), Size: d.i64(), Blocks: d.i64(), BlockSize: int32(d.u32()),
		Atime: d.i64(), Mtime: d.i64(), Ctime: d.i64(),
	}
}

// maxLease is more than any job's life, and little enough to be added to any date.
const maxLease = 100 * 365 * 24 * time.Hour

// appendLease writes the end of a lease as the milliseconds that remain of it, because the clocks
// of two nodes differ. What is left of a millisecond is dropped at each hop, never added.
func appendLease(b []byte, expires time.Time) []byte {
	var left time.Duration
	if !expires.IsZero() {
		left = min(max(time.Until(expires), 0), maxLease)
	}
	return binary.LittleEndian.AppendUint64(b, uint64(left.Milliseconds()))
}

// lease is the end of a lease by this node's clock; the zero time if nothing remains of it.
func (d *decoder) lease() time.Time {
	ms := d.u64()
	if ms == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(min(ms, uint64(maxLease.Milliseconds()))) * time.Millisecond)
}

// path takes the remainder as a path; one that is not as a Source wants it is malformed, so that
// nothing a peer sends leads out of the view.
func (d *decoder) path() string {
	path := string(d.remainder())
	if !cleaned(path) {
		d.broken = true
		return ""
	}
	return path
}

// bit is a flag as a byte.
func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// cleaned tells whether path is absolute, without empty, "." and ".." components, and short
// enough to be sent.
func cleaned(path string) bool {
	if len(path) == 0 || len(path) > maxPath || path[0] != '/' || strings.IndexByte(path, 0) >= 0 {
		return false
	}
	if path == "/" {
		return true
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}
