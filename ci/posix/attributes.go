package posix

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// walk calls f for every name below dir, in order, with its path below dir. What may not be entered
// is left out, in both places.
func walk(t *testing.T, dir string, f func(rel string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		if rel := path[len(dir):]; rel != "" && rel != beyond && rel != "/"+longPath[:101] {
			f(rel)
		} else if rel != "" {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stat: all that stat and statx tell of files is what the file system behind tells, but for the
// device, the preferred size of requests, and what only some file systems know.
func (s *suite) stat(t *testing.T) {
	const wanted = unix.STATX_BASIC_STATS
	s.same(t, func(dir string) string {
		var n notes
		walk(t, dir, func(rel string) {
			var st unix.Stat_t
			if err := unix.Lstat(dir+rel, &st); err != nil {
				n.add("%q: %v", rel, err)
				return
			}
			n.add("%q: ino %d mode %o nlink %d uid %d gid %d rdev %d size %d blocks %d mtime %d.%09d ctime %d.%09d", rel,
				st.Ino, st.Mode, st.Nlink, st.Uid, st.Gid, st.Rdev, st.Size, st.Blocks, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
			for _, flags := range []int{unix.AT_STATX_FORCE_SYNC, unix.AT_STATX_DONT_SYNC, unix.AT_STATX_SYNC_AS_STAT} {
				var x unix.Statx_t
				err := unix.Statx(unix.AT_FDCWD, dir+rel, flags|unix.AT_SYMLINK_NOFOLLOW, wanted, &x)
				if err != nil || x.Mask&wanted != wanted || x.Ino != st.Ino || uint32(x.Mode) != st.Mode || x.Size != uint64(st.Size) ||
					x.Blocks != uint64(st.Blocks) || int(x.Nlink) != int(st.Nlink) || x.Mtime.Sec != st.Mtim.Sec || int64(x.Mtime.Nsec) != st.Mtim.Nsec {
					n.add("statx %x of %q: %+v, %v", flags, rel, x, result(err))
				}
			}
			if filepath.Dir(rel) == copied+"/sizes" {
				n.add("atime %d.%09d", st.Atim.Sec, st.Atim.Nsec)
			}
		})
		for path, flags := range map[string]int{victim: unix.O_RDONLY, big: unix.O_PATH} {
			fd := open(t, dir+path, flags)
			var by, of, empty unix.Stat_t
			n.add("fstat of %s: %v %v %v, equal: %v %v", path, result(unix.Stat(dir+path, &of)), result(unix.Fstat(fd, &by)),
				result(unix.Fstatat(fd, "", &empty, unix.AT_EMPTY_PATH)), by == of, empty == of)
		}
		return sorted(n.String())
	})
	for _, path := range []string{s.mount, s.mount + "/", s.mount + "/.", s.mount + victim + "/.."} {
		var st, root unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			t.Errorf("stat of the mount's root: %o, %v", st.Mode, err)
		}
		if err := unix.Stat(s.mount, &root); err != nil || root != st {
			t.Errorf("%s is not the mount's root: %+v, %v", path, st, err)
		}
	}
}

// inodes: two names have one number exactly if they are one file, on one device.
func (s *suite) inodes(t *testing.T) {
	number, path := map[uint64]uint64{}, map[uint64]string{}
	var root unix.Stat_t
	if err := unix.Lstat(s.mount, &root); err != nil {
		t.Fatal(err)
	}
	links := map[uint64]int{}
	walk(t, s.native, func(rel string) {
		var got, want unix.Stat_t
		behind := unix.Lstat(s.native+rel, &want)
		if err := unix.Lstat(s.mount+rel, &got); err != nil || behind != nil {
			if errno(err) != errno(behind) {
				t.Errorf("%q: %v, behind the mount %v", rel, err, behind)
			}
			return
		}
		if got.Dev != root.Dev {
			t.Errorf("%q is on device %x, the root on %x", rel, got.Dev, root.Dev)
		}
		if before, seen := number[want.Ino]; seen && before != got.Ino {
			t.Errorf("%q and %q are one file behind the mount, and %d and %d in it", rel, path[want.Ino], got.Ino, before)
		} else if other, taken := path[got.Ino]; !seen && taken {
			t.Errorf("%q and %q have the number %d", rel, other, got.Ino)
		}
		number[want.Ino], path[got.Ino] = got.Ino, rel
		if want.Mode&unix.S_IFMT == unix.S_IFREG {
			links[got.Ino]++
			if int(got.Nlink) < links[got.Ino] {
				t.Errorf("%q: %d links, and as many names have been seen", rel, got.Nlink)
			}
		}
	})
	if len(number) < 400 {
		t.Errorf("only %d files", len(number))
	}
}

// statfs: the figures of the file system behind, and what a mount for start-up files is: read-only,
// without set-uid programs, without devices.
func (s *suite) statfs(t *testing.T) {
	for _, path := range []string{"", victim + "/file", copied + "/deep"} {
		var got, want unix.Statfs_t
		if err := unix.Statfs(s.native+path, &want); err != nil {
			t.Fatal(err)
		}
		if err := unix.Fstatfs(open(t, s.mount+path, unix.O_RDONLY), &got); err != nil {
			t.Errorf("%q: %v", path, err)
		}
		if got.Blocks != want.Blocks || got.Bsize != want.Bsize || got.Frsize != want.Frsize || got.Namelen != want.Namelen || got.Files != want.Files {
			t.Errorf("%q: %+v, behind the mount %+v", path, got, want)
		}
		if got.Bfree > got.Blocks || got.Bavail > got.Bfree || got.Ffree > got.Files {
			t.Errorf("%q: more is free than there is: %+v", path, got)
		}
		const flags = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV
		if got.Flags&flags != flags {
			t.Errorf("%q: flags %x", path, got.Flags)
		}
	}
}

// handles: name_to_handle_at either works, and the same file has the same handle, or says that there
// are none.
func (s *suite) handles(t *testing.T) {
	path := s.mount + victim + "/file"
	a, id, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil {
		if errno(err) != "EOPNOTSUPP" {
			t.Errorf("name_to_handle_at: %v", err)
		}
		return
	}
	b, again, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil || id != again || a.Type() != b.Type() || string(a.Bytes()) != string(b.Bytes()) {
		t.Errorf("the same file has another handle: %v %v %v", a, b, err)
	}
	if c, _, err := unix.NameToHandleAt(unix.AT_FDCWD, s.mount+victim+"/dir", 0); err != nil || string(c.Bytes()) == string(a.Bytes()) {
		t.Errorf("another file has the same handle: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	root := open(t, s.mount, unix.O_RDONLY)
	fd, err := unix.OpenByHandleAt(root, a, unix.O_RDONLY)
	if errno(err) == "ESTALE" || errno(err) == "EPERM" {
		return // FUSE without export support, or root without its rights
	}
	var st, want unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	if behind := unix.Stat(path, &want); err != nil || behind != nil || st != want {
		t.Errorf("by its handle: %+v (%v), want %+v", st, err, want)
	}
}

// xattr: the attributes of the file behind, or none, or that there are none; never another error.
func (s *suite) xattr(t *testing.T) {
	for _, path := range []string{"", victim, victim + "/file", copied + "/links/fifo"} {
		for range 3 {
			n, err := unix.Listxattr(s.mount+path, make([]byte, 10000))
			if e := errno(err); e != "ok" && e != "EOPNOTSUPP" {
				t.Errorf("%q: listxattr: %d, %v", path, n, err)
			}
			for _, name := range []string{"user.none", "security.capability", "system.posix_acl_access", "trusted.x", "lustre.lov"} {
				_, err := unix.Getxattr(s.mount+path, name, make([]byte, 10000))
				if e := errno(err); e != "EOPNOTSUPP" && e != "ENODATA" {
					t.Errorf("%q: getxattr %s: %v", path, name, err)
				}
			}
		}
	}
}

// special files are shown; a FIFO works within the node, a device does not open.
func (s *suite) special(t *testing.T) {
	s.same(t, func(dir string) string {
		return sh(t, dir, `stat -c '%n %F %a %t %T' "$1`+copied+`/links/fifo"; [ ! -e "$1`+modes+`/null" ] || stat -c '%n %F %a %t %T' "$1`+modes+`/null"`)
	})
	fifo := s.mount + copied + "/links/fifo"
	if out := sh(t, fifo, `cat "$1" & echo through >"$1"; wait`); out != "through\n" {
		t.Errorf("a fifo: %q", out)
	}
	if _, err := os.Lstat(s.mount + modes + "/null"); err == nil {
		if _, err := os.Open(s.mount + modes + "/null"); errno(err) != "EACCES" {
			t.Errorf("open of a device: %v, want EACCES", err)
		}
	}
}
