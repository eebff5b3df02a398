package fuse

import (
	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// The mount option ro lets the kernel refuse all of these by itself. They are answered all the
// same: nobody may ever believe that something was written.

func (fs *filesystem) refuse() gofuse.Status {
	fs.counters.count(opMutation)
	return gofuse.EROFS
}

func (fs *filesystem) SetAttr(<-chan struct{}, *gofuse.SetAttrIn, *gofuse.AttrOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Mknod(<-chan struct{}, *gofuse.MknodIn, string, *gofuse.EntryOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Mkdir(<-chan struct{}, *gofuse.MkdirIn, string, *gofuse.EntryOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Unlink(<-chan struct{}, *gofuse.InHeader, string) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Rmdir(<-chan struct{}, *gofuse.InHeader, string) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Rename(<-chan struct{}, *gofuse.RenameIn, string, string) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Link(<-chan struct{}, *gofuse.LinkIn, string, *gofuse.EntryOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Symlink(<-chan struct{}, *gofuse.InHeader, string, string, *gofuse.EntryOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) SetXAttr(<-chan struct{}, *gofuse.SetXAttrIn, string, []byte) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) RemoveXAttr(<-chan struct{}, *gofuse.InHeader, string) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Create(<-chan struct{}, *gofuse.CreateIn, string, *gofuse.CreateOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Tmpfile(<-chan struct{}, *gofuse.CreateIn, *gofuse.CreateOut) gofuse.Status {
	return fs.refuse()
}

func (fs *filesystem) Write(<-chan struct{}, *gofuse.WriteIn, []byte) (uint32, gofuse.Status) {
	return 0, fs.refuse()
}

func (fs *filesystem) Writev(<-chan struct{}, *gofuse.WriteIn, [][]byte) (uint32, gofuse.Status) {
	return 0, fs.refuse()
}

func (fs *filesystem) CopyFileRange(<-chan struct{}, *gofuse.CopyFileRangeIn) (uint32, gofuse.Status) {
	return 0, fs.refuse()
}

func (fs *filesystem) Fallocate(<-chan struct{}, *gofuse.FallocateIn) gofuse.Status {
	return fs.refuse()
}
