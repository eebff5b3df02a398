package store

import "syscall"

// Attr is what lstat tells of a file.
type Attr struct {
	// Dev identifies the file system. It is not st_dev, which differs between the nodes for one
	// and the same PFS, but a number that every node derives alike; see [Mounts].
	Dev uint64
	Ino uint64
	// Mode is st_mode: file type and permission bits.
	Mode      uint32
	Nlink     uint32
	UID, GID  uint32
	Rdev      uint64
	Size      int64 // bytes
	Blocks    int64 // units of 512 bytes
	BlockSize int32 // preferred I/O size in bytes

	// Times in nanoseconds since the epoch.
	Atime, Mtime, Ctime int64
}

// Version tells two states of a file apart: all chunks of one read carry the same Version.
type Version struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64
}

// Version is the state of the file that a describes.
func (a Attr) Version() Version {
	return Version{Dev: a.Dev, Ino: a.Ino, Size: a.Size, Mtime: a.Mtime, Ctime: a.Ctime}
}

// Type is the S_IFMT part of the mode.
func (a Attr) Type() uint32 { return a.Mode & syscall.S_IFMT }

// IsDir tells whether a describes a directory.
func (a Attr) IsDir() bool { return a.Type() == syscall.S_IFDIR }

// IsRegular tells whether a describes a regular file.
func (a Attr) IsRegular() bool { return a.Type() == syscall.S_IFREG }
