package slowfs

import (
	"io"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// OpenDir implements OPENDIR.
func (m *mount) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return m.performNode(cancel, in.NodeId, OpOpenDir, func(n *node, o *operation) syscall.Errno {
		if m.lifetime() > 0 {
			out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_CACHE_DIR
		}
		return m.open(n, &out.Fh)
	})
}

// ReadDir implements READDIR. The offset of an entry is its index plus one in what the directory
// held when this handle was last read from offset 0.
func (m *mount) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h, ok := m.handle(in.Fh)
	if !ok {
		return fuse.EBADF
	}
	o := operation{op: OpReadDir, path: h.node.path, end: int64(in.Offset) + 1, mode: h.node.kind}
	return m.perform(cancel, o, func(o *operation) syscall.Errno {
		h.mu.Lock()
		defer h.mu.Unlock()
		if in.Offset == 0 {
			o.listings = 1
			entries, err := readEntries(h.file)
			if err != nil {
				return errnoOf(err)
			}
			h.entries = entries
		}
		for i := in.Offset; i < uint64(len(h.entries)); i++ {
			entry := h.entries[i]
			entry.Off = i + 1
			if !out.AddDirEntry(entry) {
				break
			}
		}
		return 0
	})
}

// ReleaseDir implements RELEASEDIR.
func (m *mount) ReleaseDir(in *fuse.ReleaseIn) { m.close(in.Fh) }

// readEntries reads a whole directory, "." and ".." included, with the inode numbers that
// os.ReadDir leaves out.
func readEntries(dir *os.File) ([]fuse.DirEntry, error) {
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var entries []fuse.DirEntry
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.ReadDirent(int(dir.Fd()), buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return entries, err
		}
		for rest := buf[:n]; len(rest) > 0; {
			var entry fuse.DirEntry
			rest = rest[entry.Parse(rest):]
			entries = append(entries, entry)
		}
	}
}
