package store

import "context"

// Source is every part that can answer a read-only file-system question.
//
// Paths are absolute within the view, cleaned ("/", "/a/b"; never "/a/", "/a/../b") and are byte
// strings: they need not be UTF-8. No method follows a symbolic link in the last component, and
// callers resolve the others before they ask, as the kernel does.
//
// A failed call returns an *[Error] that carries the errno of the PFS; see [Errno]. Only errors
// whose [Error.Absent] is true may be remembered, and only until [Error.Expires].
//
// All methods are safe for concurrent use and return when ctx is done.
type Source interface {
	// Stat answers lstat(path). stale is a version of the file that the caller knows to be gone,
	// since its content could not be read any more, or the zero Version: an answer from memory
	// that has it is not good enough.
	Stat(ctx context.Context, path string, stale Version) (Attr, error)

	// List answers with the names in a directory. known is a listing that the caller holds and
	// whose lease may have ended, or nil: an implementation that finds the directory unchanged
	// returns known.Renewed(…) instead of reading it again.
	List(ctx context.Context, dir string, known *Listing) (*Listing, error)

	// ReadLink answers readlink(path): the target's bytes as they are.
	ReadLink(ctx context.Context, path string) (string, error)

	// ReadChunk returns chunk number index of a regular file: the bytes
	// [index*ChunkSize, index*ChunkSize+file.ChunkLen(index)), never fewer. The bytes belong to
	// file.Version: ESTALE is returned when the file has another version by now. EINVAL for an
	// index outside the file. The caller owns one reference to the chunk and must Release it.
	ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error)
}

// ChunkSize is the unit in which file data is read, sent, checked and kept, in bytes.
const ChunkSize = 1 << 20

// File names a regular file at one version.
type File struct {
	Path    string
	Version Version
}

// Chunks is the number of chunks of the file.
func (f File) Chunks() int64 {
	return (f.Version.Size + ChunkSize - 1) / ChunkSize
}

// ChunkLen is the length of chunk index in bytes: ChunkSize, less for the last chunk, and 0 for
// an index outside the file.
func (f File) ChunkLen(index int64) int {
	if index < 0 || index >= f.Chunks() {
		return 0
	}
	return int(min(ChunkSize, f.Version.Size-index*ChunkSize))
}
