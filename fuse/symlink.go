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

// look asks for what is at path, of which the version stale is known to be gone; and, for a symbolic
// link, where it is shown to lead.
//
// That is decided here and stands for the life of the node, because lstat tells the length of what
// readlink will answer, and the kernel keeps both. It makes a ReadLink of the Source a part of each
// LOOKUP of a link, which nearly always is the very next thing that the kernel would ask for.
func (fs *filesystem) look(req *request, path string, stale store.Version) (attr store.Attr, link string, err error) {
	for range 2 {
		if attr, err = fs.source.Stat(req, path, stale); err != nil || attr.Type() != syscall.S_IFLNK || fs.links == nil {
			return attr, "", err
		}
		if link, err = fs.shownLink(req, path); err == nil || !noLink(err) {
			return attr, link, err
		}
		stale = attr.Version() // it has been removed or replaced since it was remembered
	}
	return attr, "", &store.Error{Op: "readlink", Path: path, Errno: syscall.ESTALE}
}

// noLink tells whether err says that there is no symbolic link.
func noLink(err error) bool {
	var failed *store.Error
	return errors.As(err, &failed) && (failed.Absent() || failed.Errno == syscall.EINVAL)
}

// shownLink is where the symbolic link at path is shown to lead. A relative link is shown as it is;
// so is an absolute one, unless [Options.Links] says that it stays in the view: then it leads to the
// mount point and on from there, if that is not too long a path.
func (fs *filesystem) shownLink(req *request, path string) (string, error) {
	target, err := fs.source.ReadLink(req, path)
	if err != nil || !strings.HasPrefix(target, "/") {
		return target, err
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
