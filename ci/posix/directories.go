package posix

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// dirent is one entry as getdents64 gives it.
type dirent struct {
	ino  uint64
	off  int64
	kind byte
	name string
}

// some reads entries with one getdents64 into a buffer of that many bytes.
func some(fd, size int) ([]dirent, error) {
	buf := make([]byte, size)
	n, err := unix.Getdents(fd, buf)
	if err != nil {
		return nil, err
	}
	var entries []dirent
	for b := buf[:n]; len(b) > 0; {
		length := binary.NativeEndian.Uint16(b[16:])
		name := b[19:length]
		entries = append(entries, dirent{
			ino: binary.NativeEndian.Uint64(b), off: int64(binary.NativeEndian.Uint64(b[8:])), kind: b[18],
			name: string(name[:bytes.IndexByte(name, 0)]),
		})
		b = b[length:]
	}
	return entries, nil
}

// rest reads to the end.
func rest(fd, size int) ([]dirent, error) {
	var all []dirent
	for {
		entries, err := some(fd, size)
		if err != nil || len(entries) == 0 {
			return all, err
		}
		all = append(all, entries...)
	}
}

// entries: every buffer gives all names once, with their types and inode numbers; "." and "..", too.
func (s *suite) entries(t *testing.T) {
	for _, place := range []string{many, copied, copied + "/names", copied + "/links", copied + "/empty", modes} {
		for _, size := range []int{280, 296, 1000, 4096, 1 << 15, 1 << 20} {
			s.same(t, func(dir string) string {
				entries, err := rest(open(t, dir+place, unix.O_RDONLY|unix.O_DIRECTORY), size)
				var n notes
				for _, e := range entries {
					n.add("%q %d %d", e.name, e.kind, e.ino)
				}
				return fmt.Sprintf("%d entries by %d bytes, %v\n%s", len(entries), size, err, sorted(n.String()))
			})
		}
	}
	s.same(t, func(dir string) string {
		var n notes
		for _, size := range []int{1, 23, 24, 100, 272} { // none of these holds a name of 255 bytes
			fd := open(t, dir+copied+"/names", unix.O_RDONLY|unix.O_DIRECTORY)
			entries, err := rest(fd, size)
			n.add("by %d bytes: %v", size, result(err))
			if size < 24 && len(entries) > 0 {
				n.add("entries")
			}
		}
		_, err := unix.Getdents(open(t, dir+victim+"/file", unix.O_RDONLY), make([]byte, 1000))
		n.add("getdents of a file: %v", result(err))
		_, err = unix.Open(dir+victim+"/file", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		n.add("O_DIRECTORY of a file: %v", result(err))
		_, err = unix.Read(open(t, dir+victim, unix.O_RDONLY), make([]byte, 10))
		n.add("read of a directory: %v", result(err))
		_, err = unix.Pread(open(t, dir+victim, unix.O_RDONLY), make([]byte, 10), 0)
		n.add("pread of a directory: %v", result(err))
		_, err = unix.Getdents(open(t, dir+victim, unix.O_PATH), make([]byte, 1000))
		n.add("getdents by O_PATH: %v", result(err))
		return n.String()
	})
}

// offsets: what telldir says is a place to which seekdir returns, in any order, in every stream.
func (s *suite) offsets(t *testing.T) {
	path := s.mount + many
	all, err := rest(open(t, path, unix.O_RDONLY|unix.O_DIRECTORY), 4096)
	if err != nil || len(all) != names+2 {
		t.Fatalf("%d entries: %v", len(all), err)
	}
	seen := map[int64]bool{}
	for _, e := range all {
		if seen[e.off] || e.off <= 0 {
			t.Fatalf("%q has the offset %d, as another or none", e.name, e.off)
		}
		seen[e.off] = true
	}
	random := rand.New(rand.NewPCG(3, 4))
	streams := []int{open(t, path, unix.O_RDONLY|unix.O_DIRECTORY), open(t, path, unix.O_RDONLY|unix.O_DIRECTORY)}
	for range 400 {
		fd := streams[random.IntN(2)]
		i := random.IntN(len(all))
		to, want := int64(0), all[0]
		if i > 0 {
			to, want = all[i-1].off, all[i]
		}
		if at, err := unix.Seek(fd, to, io.SeekStart); err != nil || at != to {
			t.Fatalf("seek to %d: %d, %v", to, at, err)
		}
		got, err := some(fd, 280+random.IntN(5000))
		if err != nil || len(got) == 0 || got[0] != want {
			t.Fatalf("after %d: %+v (%v), want %+v", to, got, err, want)
		}
		last := got[len(got)-1]
		if at, err := unix.Seek(fd, 0, io.SeekCurrent); err != nil || at != last.off {
			t.Fatalf("telldir after %q: %d (%v), want %d", last.name, at, err, last.off)
		}
	}
	fd := streams[0]
	if _, err := unix.Seek(fd, all[len(all)-1].off, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := some(fd, 4096); err != nil || len(got) > 0 {
			t.Errorf("at the end: %v, %v", got, err)
		}
	}
	if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	again, err := rest(fd, 1<<16)
	if err != nil || !slices.Equal(again, all) {
		t.Errorf("rewound: %d entries (%v), or others", len(again), err)
	}
}

// streams: many read the same directory at once, each all of it.
func (s *suite) streams(t *testing.T) {
	failed := make(chan error)
	const readers = 20
	for range readers {
		go func() {
			entries, err := os.ReadDir(s.mount + many)
			if err == nil && len(entries) != names {
				err = fmt.Errorf("%d names", len(entries))
			}
			failed <- err
		}()
	}
	for range readers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
