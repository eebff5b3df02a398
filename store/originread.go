package store

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// errAnother: the file is of another version than the one that is wanted.
var errAnother = errors.New("another version")

// ReadChunk implements [Source]. The file is checked to be file.Version before and after its
// bytes are read; one that is another by now, or gone, is ESTALE.
func (o *Origin) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	n := file.ChunkLen(index)
	if n == 0 {
		return nil, o.fail("read", file.Path, syscall.EINVAL)
	}
	if err := o.young.settle(ctx, file.Version); err != nil {
		return nil, err
	}
	// Memory before the place that others wait for, and no more of it than one file system may have.
	chunks := o.mounts.at(file.Path).gate.chunks
	if err := pass(ctx, chunks); err != nil {
		return nil, err
	}
	defer func() { <-chunks }()
	c, err := o.mem.Chunk(ctx, n)
	if err != nil {
		return nil, err
	}
	mt, err := o.enter(ctx, "read", file.Path)
	if err == nil {
		err = o.fill(c.Bytes(), file, index*ChunkSize, mt)
		mt.leave()
	}
	if err != nil {
		c.Release()
		if errors.Is(err, ctx.Err()) {
			return nil, err
		}
		if e := (&Error{Errno: Errno(err)}); e.Absent() || errors.Is(err, errAnother) {
			err = syscall.ESTALE // there was a file of that version
		}
		return nil, o.fail("read", file.Path, Errno(err))
	}
	c.Seal()
	return c, nil
}

// fill reads len(buf) bytes at off of the file at that version.
//
// What fails with a descriptor that was kept is tried with a new one: the path may lead to another
// file by now, which is the one that is wanted, or the PFS client may have given the open file up
// (after an eviction, say). And an ESTALE of the PFS itself is tried once more, as any application
// would see it only if it stayed.
func (o *Origin) fill(buf []byte, file File, off int64, mt mounted) error {
	if f := o.files.get(file); f != nil {
		err := o.pread(f.fd, buf, off, file.Version, mt)
		if err != nil {
			o.files.drop(f)
		}
		o.files.put(f)
		if err == nil {
			return nil
		}
	}
	err := o.fillAnew(buf, file, off, mt)
	if errors.Is(err, unix.ESTALE) {
		err = o.fillAnew(buf, file, off, mt)
	}
	return err
}

// fillAnew opens the file for it, and keeps it open if there is more of it to read.
func (o *Origin) fillAnew(buf []byte, file File, off int64, mt mounted) error {
	o.counts.open.Add(1)
	// O_NONBLOCK: what is there by now may be a FIFO.
	fd, err := o.open(file.Path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return err
	}
	if file.Chunks() > 1 {
		// Without this the kernel reads ahead into what another node will read.
		_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)
	}
	err = o.pread(fd, buf, off, file.Version, mt)
	if err != nil || file.Chunks() == 1 {
		_ = unix.Close(fd)
		return err
	}
	o.files.put(o.files.add(file, fd))
	return nil
}

// checkVersion is errAnother if the file is not of the version that is wanted, according to the
// server if the PFS client says so.
func (o *Origin) checkVersion(fd int, want Version, mt mounted, flags int) error {
	a, err := statx(fd, "", mt, flags)
	if err == nil && a.Version() != want && flags == 0 {
		a, err = statx(fd, "", mt, unix.AT_STATX_FORCE_SYNC)
	}
	if err == nil && a.Version() != want {
		err = errAnother
	}
	return err
}

// pread fills buf from fd, whatever portions the file system answers in.
func (o *Origin) pread(fd int, buf []byte, off int64, want Version, mt mounted) error {
	if err := o.checkVersion(fd, want, mt, 0); err != nil {
		return err
	}
	o.counts.read.Add(1)
	for done := 0; done < len(buf); {
		n, err := unix.Pread(fd, buf[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0: // shorter than its version says
			return errAnother
		}
		done += n
	}
	flags := 0
	if mt.believesItself() {
		flags = unix.AT_STATX_FORCE_SYNC
	}
	if err := o.checkVersion(fd, want, mt, flags); err != nil {
		return err
	}
	o.counts.bytes.Add(int64(len(buf)))
	return nil
}
