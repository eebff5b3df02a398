package fuse

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

// A directory offset is generation<<32 | index: "." has index 0, ".." 1, the entries follow.
const indexBits = 32

func (fs *filesystem) ReadDir(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) (status gofuse.Status) {
	fs.counters.count(opReaddir)
	n := fs.nodes.get(in.NodeId)
	if n == nil {
		return gofuse.Status(syscall.ESTALE)
	}
	req := fs.begin(cancel, &in.InHeader)
	defer func() { req.finish(Answer{Request: operationNames[opReaddir], Path: n.path}, status) }()
	if err := fs.learnRoot(req); err != nil {
		return fs.fail(err)
	}

	generation, index := in.Offset>>indexBits, in.Offset&(1<<indexBits-1)
	begins := index == 0 || generation == 0
	var listing *store.Listing
	if !begins {
		listing = fs.snapshots.find(n.id, generation)
	}
	if listing == nil {
		var err error
		if listing, err = fs.source.List(req, n.path, nil); err != nil {
			return fs.fail(err)
		}
		now := fs.snapshots.start(n.id, listing)
		if !begins && now != generation {
			// To go on in another listing could skip names.
			return gofuse.Status(syscall.ESTALE)
		}
		generation = now
	}

	end := uint64(len(listing.Entries)) + 2
	for i := index; i < end; i++ {
		entry := fs.dirEntry(n, listing, i)
		entry.Off = generation<<indexBits | (i + 1)
		if !out.AddDirEntry(entry) {
			return gofuse.OK
		}
	}
	if index >= end && (!listing.Complete || !listing.Settled) {
		// The kernel keeps any directory that it has read to its end. A listing that may lack
		// names, or whose changes might not be noticed, is to be asked for again.
		fs.notifier.inode(n.id)
	}
	return gofuse.OK
}

func (fs *filesystem) dirEntry(n *node, l *store.Listing, i uint64) gofuse.DirEntry {
	switch i {
	case 0:
		return gofuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: fs.inodes.shown(l.Dir.Dev, l.Dir.Ino)}
	case 1:
		return gofuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Ino: fs.parentIno(n.path)}
	}
	e := l.Entries[i-2]
	return gofuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: fs.inodes.shown(l.Dir.Dev, e.Ino)}
}

// parentIno is the inode number of the directory that path is in, 0 if it is not known.
func (fs *filesystem) parentIno(path string) uint64 {
	parent, _ := split(path)
	if parent == "/" {
		root := fs.inodes.root.Load()
		return fs.inodes.shown(root.Dev, root.Ino)
	}
	if p := fs.nodes.current(parent); p != nil {
		return fs.inodes.shown(p.attr.Dev, p.attr.Ino)
	}
	return 0
}
