package posix

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// sizes: every file has all its bytes, by every size of read, from every place, and an end.
func (s *suite) sizes(t *testing.T) {
	for _, size := range sizes {
		want, err := os.ReadFile(fmt.Sprint(s.native, copied, "/sizes/", size))
		if err != nil {
			t.Fatal(err)
		}
		fd := open(t, fmt.Sprint(s.mount, copied, "/sizes/", size), unix.O_RDONLY)
		for _, step := range []int{1 << 20, 1<<20 + 1, 65536, 4096, 1000} {
			if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			var got []byte
			buf := make([]byte, step)
			for {
				n, err := unix.Read(fd, buf)
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if n == 0 {
					break
				}
				got = append(got, buf[:n]...)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, read by %d: %d bytes or others", size, step, len(got))
			}
		}
		for _, off := range []int{0, 1, 4095, 4096, size - 4097, size - 1, size, size + 1, size + 4096, 1 << 40} {
			if off < 0 {
				continue
			}
			buf := make([]byte, 10000)
			n, err := unix.Pread(fd, buf, int64(off))
			if rest := want[min(off, size):]; err != nil || !bytes.Equal(buf[:n], rest[:min(len(rest), len(buf))]) {
				t.Errorf("%d bytes, pread at %d: %d bytes, %v", size, off, n, err)
			}
		}
		if _, err := unix.Pread(fd, make([]byte, 1), -1); errno(err) != "EINVAL" {
			t.Errorf("pread before the beginning: %v", err)
		}
		for name, whence := range map[string]int{"SEEK_END": io.SeekEnd, "SEEK_HOLE": unix.SEEK_HOLE} {
			if at, err := unix.Seek(fd, 0, whence); (err != nil || at != int64(size)) && size > 0 {
				t.Errorf("%d bytes: %s is %d, %v", size, name, at, err)
			}
		}
	}
}

// sparse: a file of more than 4 GiB is right around its data and in its holes.
func (s *suite) sparse(t *testing.T) {
	in, behind := open(t, s.mount+big, unix.O_RDONLY), open(t, s.native+big, unix.O_RDONLY)
	for _, off := range append([]int64{1 << 30, 1<<31 - 2048, 1<<32 - 2048, bigSize - 100, bigSize - 1, bigSize, bigSize + 1}, bigData...) {
		got, want := make([]byte, 5000), make([]byte, 5000)
		n, err := unix.Pread(in, got, off)
		m, err2 := unix.Pread(behind, want, off)
		if n != m || errno(err) != errno(err2) || !bytes.Equal(got, want) {
			t.Errorf("at %d: %d bytes, %v; behind the mount %d, %v; or others", off, n, err, m, err2)
		}
	}
	const page = 4096
	off := int64(1<<32) - page
	mapped := mmap(t, in, off, 2*page, unix.PROT_READ, unix.MAP_SHARED)
	want := make([]byte, 2*page)
	if _, err := unix.Pread(behind, want, off); err != nil || !bytes.Equal(mapped, want) {
		t.Errorf("mapped around 4 GiB: other bytes (%v)", err)
	}
}

// holes: where data and holes are said to be, no data is lost. FUSE without LSEEK knows one stretch of
// data, as do many file systems.
func (s *suite) holes(t *testing.T) {
	path := copied + "/links/sparse"
	want, err := os.ReadFile(s.native + path)
	if err != nil {
		t.Fatal(err)
	}
	fd := open(t, s.mount+path, unix.O_RDONLY)
	size := int64(len(want))
	for at := int64(0); at < size; {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errno(err) == "ENXIO" {
			data = size
		} else if err != nil || data < at {
			t.Fatalf("SEEK_DATA from %d: %d, %v", at, data, err)
		}
		if bytes.Count(want[at:data], []byte{0}) != int(data-at) {
			t.Fatalf("data in the hole from %d to %d", at, data)
		}
		if data == size {
			break
		}
		if at, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil || at <= data || at > size {
			t.Fatalf("SEEK_HOLE from %d: %d, %v", data, at, err)
		}
	}
	for _, whence := range []int{unix.SEEK_DATA, unix.SEEK_HOLE} {
		if at, err := unix.Seek(fd, size, whence); errno(err) != "ENXIO" {
			t.Errorf("at the end: %d, %v, want ENXIO", at, err)
		}
	}
}

// mmap maps until the end of the test.
func mmap(t *testing.T, fd int, off int64, length, prot, flags int) []byte {
	t.Helper()
	mapped, err := unix.Mmap(fd, off, length, prot, flags)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mapped); err != nil {
			t.Error(err)
		}
	})
	return mapped
}

// peek looks at a byte, which may be a SIGBUS.
func peek(p *byte) (b byte, bus bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { bus = recover() != nil }()
	return *p, false
}

func faults(p *byte) bool {
	_, bus := peek(p)
	return bus
}

// mapped: a mapping has the file's bytes, zeros to the end of its last page, and then SIGBUS; what is
// written to a private one is nobody else's.
func (s *suite) mapped(t *testing.T) {
	const page = 4096
	for _, size := range []int{1, 4095, 4096, 4097, 1<<20 + 1} {
		path := fmt.Sprint(copied, "/sizes/", size)
		want, err := os.ReadFile(s.native + path)
		if err != nil {
			t.Fatal(err)
		}
		fd := open(t, s.mount+path, unix.O_RDONLY)
		whole := (size + page - 1) / page * page
		for _, kind := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE, unix.MAP_PRIVATE | unix.MAP_POPULATE} {
			mapped := mmap(t, fd, 0, whole+page, unix.PROT_READ, kind)
			if !bytes.Equal(mapped[:size], want) || bytes.Count(mapped[size:whole], []byte{0}) != whole-size {
				t.Errorf("%d bytes, mapped: others", size)
			}
			if faults(&mapped[whole-1]) || !faults(&mapped[whole]) || !faults(&mapped[whole+page-1]) {
				t.Errorf("%d bytes, mapped: SIGBUS not exactly after the last page", size)
			}
		}
		private := mmap(t, fd, 0, whole, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		for i := range private {
			private[i] ^= 0xff
		}
		if got, err := os.ReadFile(s.mount + path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: a private mapping was written through (%v)", size, err)
		}
	}
	if _, err := unix.Mmap(open(t, s.mount+victim, unix.O_RDONLY), 0, page, unix.PROT_READ, unix.MAP_SHARED); errno(err) != "ENODEV" {
		t.Errorf("mmap of a directory: %v, want ENODEV", err)
	}
	mmap(t, open(t, s.mount+modes+"/f755", unix.O_RDONLY), 0, page, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
}
