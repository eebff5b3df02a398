package posix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func (s *suite) oddNames(t *testing.T) {
	s.same(t, func(dir string) string {
		var n notes
		at := dir + copied + "/names/"
		for _, name := range oddNames {
			data, err := os.ReadFile(at + name)
			n.add("%q: %q %v", name, data, result(err))
		}
		for _, name := range []string{
			strings.Repeat("n", 254), strings.Repeat("n", 256), strings.Repeat("n", 256) + "/x", "\xff", "\u00e9/", "e", "...\xff", ".hidden/.", ".hidden/..",
			"nothing", "nothing/..", "dir\xfe/", "dir\xfe/.", "dir\xfe/../.hidden", "dir\xfe/../../names/.hidden", "",
		} {
			var st unix.Stat_t
			n.add("%.20q: %v", name, result(unix.Lstat(at+name, &st)))
		}
		return n.String()
	})
}

// padded is a path of that many bytes to the same file.
func padded(dir, rel string, length int) string {
	return dir + strings.Repeat("/", length-len(dir)-len(rel)) + rel
}

// longPaths: a path may have 4,095 bytes.
func (s *suite) longPaths(t *testing.T) {
	file := longPath + "/file"
	if longest := len(file) + max(len(s.mount), len(s.native)); longest >= unix.PathMax-2 {
		t.Fatalf("the directories' names are too long: %d bytes", longest)
	}
	s.same(t, func(dir string) string {
		var n notes
		for _, length := range []int{4094, 4095, 4096} {
			_, err := os.ReadFile(padded(dir, file, length))
			n.add("read %d: %v", length, result(err))
			var st unix.Stat_t
			n.add("stat %d: %v", length, result(unix.Stat(padded(dir, file, length), &st)))
			_, err = unix.Open(padded(dir, file+"x", length), unix.O_RDONLY, 0)
			n.add("open a missing one %d: %v", length, result(err))
		}
		return n.String()
	})
	s.same(t, func(dir string) string {
		return sh(t, dir, fmt.Sprintf(`cd "$1/%s" && cksum file && /bin/pwd && find . && tar -cf - . | tar -tf -`, longPath))
	})
}

// step is a directory's name of 200 bytes; a chain of them is longer than any path may be.
var step = strings.Repeat("s", 200)

const steps = 25

func makeBeyond(dir string) error {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	for range steps {
		if err == nil {
			err = unix.Mkdirat(at, step, 0o755)
		}
		if err == nil {
			at, err = into(at, step)
		}
	}
	return errors.Join(err, unix.Close(at))
}

// into goes one directory down.
func into(at int, name string) (int, error) {
	next, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	unix.Close(at)
	return next, err
}

// beyondPathMax: from directory to directory one gets as far as a path of the view may be long, then
// to ENAMETOOLONG, never to ENOENT. (A file system on a disk goes on.)
func (s *suite) beyondPathMax(t *testing.T) {
	at, err := unix.Open(s.mount+beyond, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := range steps {
		if err != nil {
			t.Fatal(i, err)
		}
		if at, err = into(at, step); err != nil {
			if gone := (i + 1) * (len(step) + 1); errno(err) != "ENAMETOOLONG" || gone < unix.PathMax-300 {
				t.Errorf("%d bytes down: %v", gone, err)
			}
			return
		}
	}
	unix.Close(at)
}

// links are shown as they are, unless they are absolute and stay on their file system, of which there
// are none here.
func (s *suite) links(t *testing.T) {
	s.same(t, func(dir string) string {
		var n notes
		at := dir + copied + "/links/"
		entries, err := os.ReadDir(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := at + e.Name()
			var st unix.Stat_t
			err := unix.Lstat(path, &st)
			n.add("%s: size %d, %v", e.Name(), st.Size, result(err))
			buf := make([]byte, unix.PathMax)
			length, err := unix.Readlink(path, buf)
			n.add("readlink: %d bytes, %q, %v", length, buf[:max(length, 0)], result(err))
			if length > 0 && int64(length) != st.Size {
				t.Errorf("%s: lstat says %d bytes, readlink gives %d", path, st.Size, length)
			}
			length, err = unix.Readlink(path, buf[:3])
			n.add("cut short: %q, %v", buf[:max(length, 0)], result(err))
			if e.Type()&os.ModeNamedPipe == 0 {
				_, err = unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
				if err != nil {
					n.add("O_NOFOLLOW: %v", err)
				}
				fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
				if err == nil {
					err = unix.Fstat(fd, &st)
					length, _ = unix.Readlinkat(fd, "", buf)
					n.add("O_PATH: mode %o, link %d, %v", st.Mode, length, result(err))
					unix.Close(fd)
				}
			}
			real, err := filepath.EvalSymlinks(path)
			n.add("realpath: %s %v", real, err == nil)
			for how, flags := range map[string]uint64{
				"RESOLVE_NO_SYMLINKS": unix.RESOLVE_NO_SYMLINKS, "RESOLVE_BENEATH": unix.RESOLVE_BENEATH,
				"RESOLVE_IN_ROOT": unix.RESOLVE_IN_ROOT, "RESOLVE_NO_XDEV": unix.RESOLVE_NO_XDEV,
			} {
				root := open(t, dir+copied, unix.O_PATH)
				fd, err := unix.Openat2(root, "links/"+e.Name(), &unix.OpenHow{Flags: unix.O_PATH, Resolve: flags})
				n.add("%s: %v", how, result(opened(fd, err)))
			}
		}
		return sorted(n.String())
	})
}
