package posix

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const figetbsz = 2 // FIGETBSZ, _IO(0, 2)

// waysOfReading: every call that reads gives the same bytes, or says that it can't.
func (s *suite) waysOfReading(t *testing.T) {
	const path = copied + "/sizes/3146505"
	want, err := os.ReadFile(s.native + path)
	if err != nil {
		t.Fatal(err)
	}
	fd := open(t, s.mount+path, unix.O_RDONLY)
	check := func(how string, got []byte, off int, err error, refusals ...string) {
		t.Helper()
		if err != nil {
			for _, r := range refusals {
				if errno(err) == r {
					return
				}
			}
		}
		if err != nil || len(got) == 0 || !bytes.Equal(got, want[off:off+len(got)]) {
			t.Errorf("%s: %d bytes or others, %v", how, len(got), err)
		}
	}
	piece := func(size int) []byte { return make([]byte, size) }

	for _, r := range [][2]int{{0, 4096}, {4096, 1 << 20}, {1<<20 - 4096, 8192}, {3 << 20, 4096}} { // with O_DIRECT, aligned
		direct := open(t, s.mount+path, unix.O_RDONLY|unix.O_DIRECT)
		buf := mmap(t, -1, 0, r[1], unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		n, err := unix.Pread(direct, buf, int64(r[0]))
		check("O_DIRECT", buf[:max(n, 0)], r[0], err)
		if full := min(r[1], len(want)-r[0]); n != full {
			t.Errorf("O_DIRECT at %d: %d bytes, want %d", r[0], n, full)
		}
	}

	a, b := piece(1000), piece(70000)
	n, err := unix.Preadv(fd, [][]byte{a, b}, 12345)
	check("preadv", append(a, b...)[:max(n, 0)], 12345, err)
	for how, flags := range map[string]int{"RWF_NOWAIT": unix.RWF_NOWAIT, "RWF_HIPRI": unix.RWF_HIPRI} {
		buf := piece(5000)
		n, err = unix.Preadv2(fd, [][]byte{buf}, 777, flags)
		check("preadv2 "+how, buf[:max(n, 0)], 777, err, "EAGAIN", "EOPNOTSUPP")
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	take := func(n int) []byte {
		buf := piece(max(n, 0))
		_, err := io.ReadFull(r, buf)
		if err != nil {
			t.Fatal(err)
		}
		return buf
	}
	off := int64(4321)
	spliced, err := unix.Splice(fd, &off, int(w.Fd()), nil, 10000, 0)
	check("splice", take(int(spliced)), 4321, err)
	off = 1 << 20
	n, err = unix.Sendfile(int(w.Fd()), fd, &off, 10000)
	check("sendfile", take(n), 1<<20, err)

	copied, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	off = 0
	n, err = unix.CopyFileRange(fd, &off, int(copied.Fd()), nil, 100000, 0)
	got := piece(max(n, 0))
	if n > 0 {
		if _, err := copied.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
	}
	check("copy_file_range", got, 0, err, "EXDEV", "EOPNOTSUPP") // to another file system; cp then reads

	for name, advice := range map[string]int{
		"NORMAL": unix.FADV_NORMAL, "SEQUENTIAL": unix.FADV_SEQUENTIAL, "RANDOM": unix.FADV_RANDOM, "NOREUSE": unix.FADV_NOREUSE,
		"WILLNEED": unix.FADV_WILLNEED, "DONTNEED": unix.FADV_DONTNEED,
	} {
		if err := unix.Fadvise(fd, 0, 0, advice); err != nil {
			t.Errorf("POSIX_FADV_%s: %v", name, err)
		}
		buf := piece(200000)
		n, err := unix.Pread(fd, buf, 1<<20-100000)
		check("read after POSIX_FADV_"+name, buf[:max(n, 0)], 1<<20-100000, err)
	}
	if _, _, e := unix.Syscall(unix.SYS_READAHEAD, uintptr(fd), 0, 2<<20); e != 0 {
		t.Errorf("readahead: %v", e)
	}
	if _, err := unix.IoctlGetInt(fd, figetbsz); err != nil {
		t.Errorf("FIGETBSZ: %v", err)
	}
	noatime, err := unix.Open(s.mount+path, unix.O_RDONLY|unix.O_NOATIME, 0)
	if err != nil {
		t.Errorf("O_NOATIME of one's own file: %v", err)
	}
	unix.Close(noatime)
	if _, err := unix.Read(open(t, s.mount+path, unix.O_PATH), piece(1)); errno(err) != "EBADF" {
		t.Errorf("read by O_PATH: %v", err)
	}
}

// The little of io_uring that one read needs; see io_uring_setup(2).
type ringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	sqOff, cqOff                                                           [10]uint32
}

const (
	ringRead                     = 22 // IORING_OP_READ
	sqRing, cqRing, sqes         = 0, 0x8000000, 0x10000000
	sqTail, sqArray              = 1, 6 // in sqOff
	cqes                         = 5    // in cqOff
	ringEnterGetEvents   uintptr = 1
	sqeSize                      = 64
)

// ioUring reads once by io_uring, where the machine allows it.
func (s *suite) ioUring(t *testing.T) {
	const path, size, off = copied + "/sizes/1048577", 100000, 5000
	want, err := os.ReadFile(s.native + path)
	if err != nil {
		t.Fatal(err)
	}
	var p ringParams
	ring, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if e != 0 {
		t.Skipf("no io_uring here: %v", e)
	}
	defer unix.Close(int(ring))
	mapped := map[int64][]byte{}
	for _, at := range []int64{sqRing, cqRing, sqes} {
		mapped[at] = mmap(t, int(ring), at, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	buf := mmap(t, -1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	word := func(m []byte, at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&m[at])) }
	sqe := mapped[sqes][:sqeSize]
	sqe[0] = ringRead
	*word(sqe, 4) = uint32(open(t, s.mount+path, unix.O_RDONLY))
	*(*uint64)(unsafe.Pointer(&sqe[8])) = off
	*(*uint64)(unsafe.Pointer(&sqe[16])) = uint64(uintptr(unsafe.Pointer(&buf[0])))
	*word(sqe, 24) = size
	*word(mapped[sqRing], p.sqOff[sqArray]) = 0
	*word(mapped[sqRing], p.sqOff[sqTail]) = 1
	if _, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, ring, 1, 1, ringEnterGetEvents, 0, 0); e != 0 {
		t.Fatal(e)
	}
	n := int32(*word(mapped[cqRing], p.cqOff[cqes]+8))
	if n <= 0 || !bytes.Equal(buf[:n], want[off:off+n]) {
		t.Errorf("by io_uring: %d, or other bytes", n)
	}
}
