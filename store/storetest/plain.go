package storetest

import (
	"context"
	"errors"
	"io"
	"os"
	"sort"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Plain is a [store.Source] of plain system calls on the directory tree below Dir, written
// without any of the product's code: it lets the conformance suite look at a FUSE mount.
type Plain struct {
	Dir string
	Mem *store.Memory
}

func (p Plain) fail(op, name string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = syscall.EIO
	}
	e := &store.Error{Op: op, Path: name, Errno: errno}
	if e.Absent() {
		e.Expires = time.Now().Add(Lifetime)
	}
	return e
}

// Stat implements [store.Source].
func (p Plain) Stat(ctx context.Context, name string, _ store.Version) (store.Attr, error) {
	if ctx.Err() != nil {
		return store.Attr{}, ctx.Err()
	}
	info, err := os.Lstat(p.Dir + name)
	if err != nil {
		return store.Attr{}, p.fail("lstat", name, err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return store.Attr{
		Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid, Rdev: st.Rdev,
		Size: st.Size, Blocks: st.Blocks, BlockSize: int32(st.Blksize),
		Atime: st.Atim.Nano(), Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
	}, nil
}

// List implements [store.Source].
func (p Plain) List(ctx context.Context, dir string, _ *store.Listing) (*store.Listing, error) {
	attr, err := p.Stat(ctx, dir, store.Version{})
	if err != nil {
		return nil, err
	}
	if !attr.IsDir() {
		return nil, p.fail("readdir", dir, syscall.ENOTDIR)
	}
	names, err := os.ReadDir(p.Dir + dir)
	if err != nil {
		return nil, p.fail("readdir", dir, err)
	}
	l := &store.Listing{Dir: attr, Complete: true, Expires: time.Now().Add(Lifetime)}
	for _, n := range names {
		a, err := p.Stat(ctx, join(dir, n.Name()), store.Version{})
		if err != nil {
			return nil, err
		}
		l.Entries = append(l.Entries, store.Entry{Name: n.Name(), Ino: a.Ino, Type: a.Type()})
	}
	sort.Slice(l.Entries, func(i, j int) bool { return l.Entries[i].Name < l.Entries[j].Name })
	return l, nil
}

// ReadLink implements [store.Source].
func (p Plain) ReadLink(_ context.Context, name string) (string, error) {
	target, err := os.Readlink(p.Dir + name)
	if err != nil {
		return "", p.fail("readlink", name, err)
	}
	return target, nil
}

// ReadChunk implements [store.Source].
func (p Plain) ReadChunk(ctx context.Context, file store.File, index int64) (*store.Chunk, error) {
	n := file.ChunkLen(index)
	if n == 0 {
		return nil, p.fail("read", file.Path, syscall.EINVAL)
	}
	f, err := os.Open(p.Dir + file.Path)
	if err != nil {
		return nil, p.fail("read", file.Path, err)
	}
	defer f.Close()
	if a, err := p.Stat(ctx, file.Path, store.Version{}); err != nil || a.Version() != file.Version {
		return nil, p.fail("read", file.Path, syscall.ESTALE)
	}
	c, err := p.Mem.Chunk(ctx, n)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(io.NewSectionReader(f, index*store.ChunkSize, int64(n)), c.Bytes()); err != nil {
		c.Release()
		return nil, p.fail("read", file.Path, err)
	}
	c.Seal()
	return c, nil
}
