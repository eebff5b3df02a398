package fuse

import (
	"math/bits"
	"sync/atomic"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

// lifetime of entries and attributes in the kernel. Changes are announced, so it only has to be
// long.
const lifetime = 365 * 24 * time.Hour

// lifetime is that of what the kernel is told now.
func (fs *filesystem) lifetime() time.Duration {
	if fs.direct {
		return 0
	}
	return lifetime
}

// inodes maps the inode numbers of all file systems in the view to numbers of the one file system
// that the mount is, so that find and its like, who recognise a directory by (device, inode),
// neither see a loop where two file systems use the same number nor miss a hard link. The file
// system that the view's root is on keeps its numbers.
type inodes struct {
	root atomic.Pointer[store.Attr] // nil until somebody asked for them
}

// mixed marks the numbers that are not the PFS's own. They stay positive in signed arithmetic.
const mixed = 1 << 62

func (i *inodes) shown(dev, ino uint64) uint64 {
	if root := i.root.Load(); root == nil || root.Dev == dev {
		return ino
	}
	// The same on every node, as Dev is.
	hi, lo := bits.Mul64(dev^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo^ino, 0xa0761d6478bd642f)
	return (hi^lo)&(mixed-1) | mixed
}

// fill writes a, the attributes of n, as the kernel shall see them.
func (fs *filesystem) fill(out *gofuse.Attr, n *node, a *store.Attr) {
	fs.inodes.fill(out, a)
	if n.link != "" {
		out.Size = uint64(len(n.link))
	}
}

// fill writes a as FUSE wants it.
func (i *inodes) fill(out *gofuse.Attr, a *store.Attr) {
	*out = gofuse.Attr{
		Ino:     i.shown(a.Dev, a.Ino),
		Size:    uint64(a.Size),
		Blocks:  uint64(a.Blocks),
		Mode:    a.Mode,
		Nlink:   a.Nlink,
		Owner:   gofuse.Owner{Uid: a.UID, Gid: a.GID},
		Rdev:    uint32(a.Rdev),
		Blksize: uint32(a.BlockSize),
	}
	out.Atime, out.Atimensec = seconds(a.Atime)
	out.Mtime, out.Mtimensec = seconds(a.Mtime)
	out.Ctime, out.Ctimensec = seconds(a.Ctime)
}

// seconds parts nanoseconds since the epoch, which may be negative, as struct timespec does.
func seconds(ns int64) (sec uint64, nsec uint32) {
	s, rest := ns/1e9, ns%1e9
	if rest < 0 {
		s, rest = s-1, rest+1e9
	}
	return uint64(s), uint32(rest)
}
