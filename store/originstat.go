package store

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// Stat implements [Source]; it always asks the PFS. With a stale version, even a PFS client that
// keeps attributes for a while has to ask its server.
func (o *Origin) Stat(ctx context.Context, path string, stale Version) (Attr, error) {
	mt, err := o.enter(ctx, "lstat", path)
	if err != nil {
		return Attr{}, err
	}
	defer mt.leave()
	return o.lstat(path, mt, stale != Version{})
}

// lstat answers lstat(path). afresh: not from what the PFS client remembers.
func (o *Origin) lstat(path string, mt mounted, afresh bool) (Attr, error) {
	o.counts.lstat.Add(1)
	flags := 0
	if afresh {
		flags = unix.AT_STATX_FORCE_SYNC
	}
	a, err := o.look(path, mt, flags)
	if errors.Is(err, unix.ESTALE) {
		a, err = o.lookAnew(path, mt)
	}
	if err != nil {
		return Attr{}, o.fail("lstat", path, err)
	}
	return a, nil
}

func (o *Origin) look(path string, mt mounted, flags int) (Attr, error) {
	fd, err := o.open(path, unix.O_PATH)
	if err != nil {
		return Attr{}, err
	}
	defer unix.Close(fd)
	return o.statx(fd, mt, flags)
}

// statx is what there is to tell of what is open as fd.
func (o *Origin) statx(fd int, mt mounted, flags int) (Attr, error) {
	a, err := statx(fd, "", mt, flags)
	if err == nil {
		o.rights.grant(&a, fd)
	}
	return a, err
}

// lookAnew asks by name in the directory: where the PFS client's own answer is ESTALE the kernel
// then looks the name up anew, as it does for any application.
func (o *Origin) lookAnew(path string, mt mounted) (Attr, error) {
	dir, name := split(path)
	if name == "" {
		return o.look(path, mt, unix.AT_STATX_FORCE_SYNC)
	}
	fd, err := o.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return Attr{}, err
	}
	defer unix.Close(fd)
	return statx(fd, name, mt, unix.AT_STATX_FORCE_SYNC)
}

// statx looks at name below fd, or at fd itself if name is empty. It never fails with EINTR, and
// gives the file system its number of the view.
func statx(fd int, name string, mt mounted, flags int) (Attr, error) {
	flags |= unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	for {
		err := unix.Statx(fd, name, flags, unix.STATX_BASIC_STATS, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Attr{}, err
		}
	}
	return Attr{
		Dev: mt.id, Ino: st.Ino, Mode: uint32(st.Mode), Nlink: st.Nlink, UID: st.Uid, GID: st.Gid,
		Rdev: unix.Mkdev(st.Rdev_major, st.Rdev_minor),
		Size: int64(st.Size), Blocks: int64(st.Blocks), BlockSize: int32(st.Blksize),
		Atime: nanoseconds(st.Atime), Mtime: nanoseconds(st.Mtime), Ctime: nanoseconds(st.Ctime),
	}, nil
}

func nanoseconds(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// ReadLink implements [Source].
func (o *Origin) ReadLink(ctx context.Context, path string) (string, error) {
	mt, err := o.enter(ctx, "readlink", path)
	if err != nil {
		return "", err
	}
	defer mt.leave()
	o.counts.readlink.Add(1)
	target, err := o.readLink(path)
	if errors.Is(err, unix.ESTALE) {
		target, err = o.readLinkAnew(path)
	}
	if err != nil {
		return "", o.fail("readlink", path, err)
	}
	return target, nil
}

func (o *Origin) readLink(path string) (string, error) {
	fd, err := o.open(path, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	target, err := readLinkAt(fd, "")
	if errors.Is(err, unix.ENOENT) { // what readlinkat says of a descriptor that is not a link
		err = unix.EINVAL
	}
	return target, err
}

// readLinkAnew asks by name; see lookAnew.
func (o *Origin) readLinkAnew(path string) (string, error) {
	dir, name := split(path)
	if name == "" {
		return "", unix.ESTALE
	}
	fd, err := o.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readLinkAt(fd, name)
}

func readLinkAt(fd int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// StatFS is statfs(2) of the file system behind path.
func (o *Origin) StatFS(path string) (unix.Statfs_t, error) {
	var st unix.Statfs_t
	mt, err := o.enter(context.Background(), "statfs", path)
	if err != nil {
		return st, err
	}
	defer mt.leave()
	fd, err := o.open(path, unix.O_PATH)
	if err != nil {
		return st, o.fail("statfs", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Fstatfs(fd, &st); err != nil {
		return st, o.fail("statfs", path, err)
	}
	return st, nil
}
