package fuse

import (
	"errors"
	"strings"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/copper-hpc/copper/store"
)

// decideLink returns where the symbolic link at path is shown to lead, or "" for what is no link or
// is shown as it is by [Options]. A relative link is shown as it is. An absolute one stays in the view
// if [Options.Links] says so: then it is shown to lead to the mount point and on from there.
//
// That is decided when the link is looked up, and stands for the life of its node, because lstat
// tells the length of what readlink will answer, and the kernel keeps both. It makes a READLINK of
// the Source a part of each LOOKUP of a link, which nearly always is the very next thing that the
// kernel would ask for.
func (fs *filesystem) decideLink(req *request, path string, attr store.Attr) (string, error) {
	if fs.links == nil || attr.Type() != syscall.S_IFLNK {
		return "", nil
	}
	target, err := fs.source.ReadLink(req, path)
	if err != nil {
		var failed *store.Error
		if errors.As(err, &failed) && (failed.Absent() || failed.Errno == syscall.EINVAL) {
			// It has been replaced since its attributes were read: the kernel looks again.
			err = &store.Error{Op: failed.Op, Path: path, Errno: syscall.ESTALE}
		}
		return "", err
	}
	if !strings.HasPrefix(target, "/") {
		return target, nil
	}
	in, ok := fs.links(path, target)
	if !ok || len(fs.dir)+len(in) >= unix.PathMax {
		return target, nil
	}
	return fs.dir + in, nil
}

func (fs *filesystem) Readlink(cancel <-chan struct{}, header *gofuse.InHeader) (_ []byte, status gofuse.Status) {
	fs.counters.count(opReadlink)
	n := fs.nodes.get(header.NodeId)
	switch {
	case n == nil:
		return nil, gofuse.Status(syscall.ESTALE)
	case n.link != "":
		fs.observed(Answer{Request: operationNames[opReadlink], Path: n.path}, time.Now(), gofuse.OK)
		return []byte(n.link), gofuse.OK
	}
	req := fs.begin(cancel, header)
	defer func() { req.finish(Answer{Request: operationNames[opReadlink], Path: n.path}, status) }()
	target, err := fs.source.ReadLink(req, n.path)
	if err != nil {
		return nil, fs.fail(err)
	}
	return []byte(target), gofuse.OK
}
