package fuse

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// The operations here are answered with ENOSYS once; from then on the kernel does them alone.

// Open switches OPEN and RELEASE off, and with that keeps the page cache across opens.
func (fs *filesystem) Open(_ <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	fs.counters.count(opOpen)
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY || in.Flags&syscall.O_TRUNC != 0 {
		return gofuse.EROFS
	}
	if fs.noOpen {
		return gofuse.ENOSYS
	}
	out.OpenFlags = gofuse.FOPEN_KEEP_CACHE
	if fs.direct {
		out.OpenFlags = gofuse.FOPEN_DIRECT_IO
	}
	return gofuse.OK
}

// OpenDir switches OPENDIR and RELEASEDIR off, and with that keeps directories across opens.
func (fs *filesystem) OpenDir(_ <-chan struct{}, _ *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	fs.counters.count(opOpendir)
	if fs.noOpendir {
		return gofuse.ENOSYS
	}
	if !fs.direct {
		out.OpenFlags = gofuse.FOPEN_KEEP_CACHE | gofuse.FOPEN_CACHE_DIR
	}
	return gofuse.OK
}

// Flush switches FLUSH off: closing a file sends nothing.
func (fs *filesystem) Flush(<-chan struct{}, *gofuse.FlushIn) gofuse.Status {
	fs.counters.count(opFlush)
	return gofuse.ENOSYS
}

// Fsync switches FSYNC off: it succeeds locally.
func (fs *filesystem) Fsync(<-chan struct{}, *gofuse.FsyncIn) gofuse.Status {
	fs.counters.count(opFsync)
	return gofuse.ENOSYS
}

// FsyncDir switches FSYNCDIR off: it succeeds locally.
func (fs *filesystem) FsyncDir(<-chan struct{}, *gofuse.FsyncIn) gofuse.Status {
	fs.counters.count(opFsync)
	return gofuse.ENOSYS
}

// Access switches ACCESS off: the kernel decides by mode and owner (default_permissions).
func (fs *filesystem) Access(<-chan struct{}, *gofuse.AccessIn) gofuse.Status {
	fs.counters.count(opAccess)
	return gofuse.ENOSYS
}

// GetXAttr switches GETXATTR off: callers see EOPNOTSUPP.
func (fs *filesystem) GetXAttr(<-chan struct{}, *gofuse.InHeader, string, []byte) (uint32, gofuse.Status) {
	fs.counters.count(opGetxattr)
	return 0, gofuse.ENOSYS
}

// ListXAttr switches LISTXATTR off: callers see EOPNOTSUPP.
func (fs *filesystem) ListXAttr(<-chan struct{}, *gofuse.InHeader, []byte) (uint32, gofuse.Status) {
	fs.counters.count(opListxattr)
	return 0, gofuse.ENOSYS
}

// Lseek switches LSEEK off: the kernel answers SEEK_DATA and SEEK_HOLE as for a file without holes.
func (fs *filesystem) Lseek(<-chan struct{}, *gofuse.LseekIn, *gofuse.LseekOut) gofuse.Status {
	fs.counters.count(opLseek)
	return gofuse.ENOSYS
}
