package fuse

import (
	"context"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// lastIoctl bounds the numbers that [Options.Ioctl] may know. Those of terminals and files are larger.
const lastIoctl = 2500

// Ioctl is asked once for every file that Python opens, and a refusal is not remembered: what is not
// [Options.Ioctl]'s is answered before anything else.
func (fs *filesystem) Ioctl(cancel <-chan struct{}, in *gofuse.IoctlIn, _ []byte, out *gofuse.IoctlOut, _ []byte) gofuse.Status {
	fs.counters.count(opIoctl)
	if in.Cmd > lastIoctl || fs.ioctl == nil {
		return gofuse.Status(syscall.ENOTTY)
	}
	req := fs.begin(cancel, &in.InHeader)
	defer req.end(context.Canceled)
	select { // what hangs holds one thread, however often it is asked for
	case fs.ioctlSlot <- struct{}{}:
	case <-req.Done():
		return fs.fail(req.Err())
	}
	answered := make(chan error, 1)
	go func() {
		defer func() { <-fs.ioctlSlot }()
		answered <- fs.ioctl(in.Cmd)
	}()
	select {
	case err := <-answered:
		*out = gofuse.IoctlOut{}
		if err != nil {
			return fs.fail(err)
		}
		return gofuse.OK
	case <-req.Done():
		return fs.fail(req.Err())
	}
}
