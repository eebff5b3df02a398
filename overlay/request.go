package overlay

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/copper-hpc/copper/store"
)

// request is a question as it travels.
type request struct {
	kind kind
	path string // all but kindControl

	// version is, for kindReadChunk, the file's; for kindStat that of a file which the caller knows
	// to be gone; for kindList that of the listing which the caller would renew. The zero Version
	// for none.
	version store.Version
	index   int64 // of the chunk; kindReadChunk
	room    int   // bytes of that chunk; not sent: both ends compute it

	patience time.Duration // after which nobody waits for the answer; kindControl
	alone    bool          // without those below in the tree; kindControl
	body     []byte        // kindControl
}

func statRequest(path string, stale store.Version) request {
	return request{kind: kindStat, path: path, version: stale}
}

func readLinkRequest(path string) request { return request{kind: kindReadLink, path: path} }

// listRequest asks for a listing. What the caller holds is mentioned only if it could be renewed:
// it was complete, and any change to it since would show in the directory's version.
func listRequest(dir string, known *store.Listing) request {
	q := request{kind: kindList, path: dir}
	if known != nil && known.Complete && known.Settled {
		q.version = known.Dir.Version()
	}
	return q
}

func readChunkRequest(file store.File, index int64) request {
	return request{
		kind: kindReadChunk, path: file.Path,
		version: file.Version, index: index, room: file.ChunkLen(index),
	}
}

// controlHeader is what goes before the body of a control request, in bytes: patience and alone.
const controlHeader = 8 + 1

// append encodes the payload.
func (q request) append(b []byte) []byte {
	switch q.kind {
	case kindStat, kindList:
		b = appendVersion(b, q.version)
	case kindReadChunk:
		b = appendVersion(b, q.version)
		b = binary.LittleEndian.AppendUint64(b, uint64(q.index))
	case kindControl:
		b = binary.LittleEndian.AppendUint64(b, uint64(q.patience.Milliseconds()))
		return append(append(b, bit(q.alone)), q.body...)
	}
	return append(b, q.path...)
}

// decodeRequest keeps nothing of the payload.
func decodeRequest(k kind, payload []byte) (request, error) {
	q := request{kind: k}
	d := decoder{rest: payload}
	switch k {
	case kindStat, kindList:
		q.version = d.version()
		q.path = d.path()
	case kindReadLink:
		q.path = d.path()
	case kindReadChunk:
		q.version = d.version()
		q.index = d.i64()
		q.path = d.path()
		if q.room = q.file().ChunkLen(q.index); q.room == 0 {
			d.broken = true
		}
	case kindControl:
		q.patience = time.Duration(min(d.u64(), uint64(maxLease.Milliseconds()))) * time.Millisecond
		q.alone = d.u8() != 0
		q.body = bytes.Clone(d.remainder())
	default:
		d.broken = true
	}
	return q, d.done()
}

func (q request) file() store.File { return store.File{Path: q.path, Version: q.version} }
