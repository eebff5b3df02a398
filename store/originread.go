package store

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadChunk implements [Source]. The file is checked to be file.Version before and after its
// bytes are read; one that is another by now, or gone, is ESTALE.
func (o *Origin) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	n := file.ChunkLen(index)
	if n == 0 {
		return nil, o.fail("read", file.Path, syscall.EINVAL)
	}
	// Memory first: a slot at the PFS must not be held while waiting for it.
	c, err := o.mem.Chunk(ctx, n)
	if err != nil {
		return nil, err
	}
	mt, err := o.enter(ctx, "read", file.Path)
	if err == nil {
		err = o.fill(c.Bytes(), file, index*ChunkSize, mt)
		o.leave()
	}
	if err != nil {
		c.Release()
		if errors.Is(err, ctx.Err()) {
			return nil, err
		}
		if e := (&Error{Errno: Errno(err)}); e.Absent() {
			err = syscall.ESTALE // there was a file of that version
		}
		return nil, o.fail("read", file.Path, Errno(err))
	}
	c.Seal()
	return c, nil
}

// fill reads len(buf) bytes at off of the file at that version.
func (o *Origin) fill(buf []byte, file File, off int64, mt mounted) error {
	f := o.files.get(file.Path)
	if f != nil {
		err := o.checkVersion(f.fd, file.Version, mt)
		if err == nil {
			defer o.files.put(f)
			return o.pread(f.fd, buf, off, file.Version, mt)
		}
		// Perhaps the path leads to another file by now, which is the one that is wanted.
		o.files.drop(f)
		o.files.put(f)
	}
	o.counts.open.Add(1)
	// O_NONBLOCK: what is there by now may be a FIFO.
	fd, err := o.open(file.Path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return err
	}
	if err := o.checkVersion(fd, file.Version, mt); err != nil {
		_ = unix.Close(fd)
		return err
	}
	if file.Chunks() == 1 {
		defer unix.Close(fd)
		return o.pread(fd, buf, off, file.Version, mt)
	}
	// Without this the kernel reads ahead into what another node will read.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)
	f = o.files.add(file.Path, fd)
	defer o.files.put(f)
	return o.pread(fd, buf, off, file.Version, mt)
}

func (o *Origin) checkVersion(fd int, want Version, mt mounted) error {
	a, err := fstat(fd, mt)
	if err != nil {
		return err
	}
	if a.Version() != want {
		return syscall.ESTALE
	}
	return nil
}

// pread fills buf from fd, whatever portions the file system answers in.
func (o *Origin) pread(fd int, buf []byte, off int64, want Version, mt mounted) error {
	o.counts.read.Add(1)
	for done := 0; done < len(buf); {
		n, err := unix.Pread(fd, buf[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0: // shorter than its version says
			return syscall.ESTALE
		}
		done += n
	}
	if err := o.checkVersion(fd, want, mt); err != nil {
		return err
	}
	o.counts.bytes.Add(int64(len(buf)))
	return nil
}
