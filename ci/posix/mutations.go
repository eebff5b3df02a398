package posix

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withOpen calls f with the file open for reading.
func withOpen(path string, f func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open for reading: %w", err)
	}
	defer unix.Close(fd)
	return f(fd)
}

// opened closes what should not have been opened.
func opened(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// setFlags is what chattr does.
func setFlags(path string) error {
	return withOpen(path, func(fd int) error {
		flags := int32(0x40) // FS_NODUMP_FL
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_SETFLAGS, uintptr(unsafe.Pointer(&flags)))
		if e != 0 {
			return e
		}
		return nil
	})
}

// mutations change something in dir, each by one system call.
var mutations = []struct {
	name string
	call func(dir string) error
}{
	{"open O_CREAT missing", func(d string) error { return opened(unix.Open(d+"/new", unix.O_RDONLY|unix.O_CREAT, 0o644)) }},
	{"open O_CREAT through a dangling link", func(d string) error { return opened(unix.Open(d+"/dangling", unix.O_WRONLY|unix.O_CREAT, 0o644)) }},
	{"creat", func(d string) error { return opened(unix.Creat(d+"/file", 0o644)) }},
	{"openat2", func(d string) error {
		return opened(unix.Openat2(unix.AT_FDCWD, d+"/file", &unix.OpenHow{Flags: unix.O_RDWR}))
	}},
	{"open O_TMPFILE", func(d string) error { return opened(unix.Open(d, unix.O_TMPFILE|unix.O_RDWR, 0o600)) }},
	{"open a link to write", func(d string) error { return opened(unix.Open(d+"/link", unix.O_WRONLY, 0)) }},
	{"reopen by /proc", func(d string) error {
		return withOpen(d+"/file", func(fd int) error { return opened(unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR, 0)) })
	}},
	{"mkdir", func(d string) error { return unix.Mkdir(d+"/new", 0o755) }},
	{"mknod a file", func(d string) error { return unix.Mknod(d+"/new", unix.S_IFREG|0o644, 0) }},
	{"mknod a fifo", func(d string) error { return unix.Mknod(d+"/new", unix.S_IFIFO|0o644, 0) }},
	{"bind a socket", func(d string) error {
		return withOpen(d, func(dir int) error { // by a short name: there are 108 bytes
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/new", dir)})
		})
	}},
	{"symlink", func(d string) error { return unix.Symlink("x", d+"/new") }},
	{"link", func(d string) error { return unix.Link(d+"/file", d+"/new") }},
	{"linkat a link", func(d string) error { return unix.Linkat(unix.AT_FDCWD, d+"/link", unix.AT_FDCWD, d+"/new", 0) }},
	{"unlink", func(d string) error { return unix.Unlink(d + "/file") }},
	{"unlink a link", func(d string) error { return unix.Unlink(d + "/link") }},
	{"rmdir", func(d string) error { return unix.Rmdir(d + "/dir") }},
	{"rmdir, not empty", func(d string) error { return unix.Rmdir(d + "/full") }},
	{"rename", func(d string) error { return unix.Rename(d+"/file", d+"/new") }},
	{"rename onto another", func(d string) error { return unix.Rename(d+"/file", d+"/link") }},
	{"rename a directory", func(d string) error { return unix.Rename(d+"/dir", d+"/new") }},
	{"renameat2 RENAME_NOREPLACE", func(d string) error {
		return unix.Renameat2(unix.AT_FDCWD, d+"/file", unix.AT_FDCWD, d+"/new", unix.RENAME_NOREPLACE)
	}},
	{"renameat2 RENAME_EXCHANGE", func(d string) error {
		return unix.Renameat2(unix.AT_FDCWD, d+"/file", unix.AT_FDCWD, d+"/dir", unix.RENAME_EXCHANGE)
	}},
	{"unlink missing", func(d string) error { return unix.Unlink(d + "/missing") }},
	{"rmdir missing", func(d string) error { return unix.Rmdir(d + "/missing") }},
	{"rename missing", func(d string) error { return unix.Rename(d+"/missing", d+"/new") }},
	{"truncate", func(d string) error { return unix.Truncate(d+"/file", 0) }},
	{"truncate to the same", func(d string) error { return unix.Truncate(d+"/file", 5000) }},
	{"truncate larger", func(d string) error { return unix.Truncate(d+"/file", 1<<20) }},
	{"chmod", func(d string) error { return unix.Chmod(d+"/file", 0o600) }},
	{"chmod a directory", func(d string) error { return unix.Chmod(d+"/dir", 0o700) }},
	{"fchmod", func(d string) error { return withOpen(d+"/file", func(fd int) error { return unix.Fchmod(fd, 0o600) }) }},
	{"fchmodat", func(d string) error { return unix.Fchmodat(unix.AT_FDCWD, d+"/file", 0o600, 0) }},
	{"chown", func(d string) error { return unix.Chown(d+"/file", os.Geteuid(), os.Getegid()) }},
	{"lchown", func(d string) error { return unix.Lchown(d+"/link", os.Geteuid(), os.Getegid()) }},
	{"fchown", func(d string) error {
		return withOpen(d+"/file", func(fd int) error { return unix.Fchown(fd, os.Geteuid(), os.Getegid()) })
	}},
	{"utimensat", func(d string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, d+"/file", []unix.Timespec{{Sec: 1}, {Sec: 2}}, 0)
	}},
	{"utimensat of a link", func(d string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, d+"/link", []unix.Timespec{{Sec: 1}, {Sec: 2}}, unix.AT_SYMLINK_NOFOLLOW)
	}},
	{"touch", func(d string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, d+"/dir", nil, 0) }},
	{"setxattr", func(d string) error { return unix.Setxattr(d+"/file", "user.x", []byte("y"), 0) }},
	{"setxattr of a directory", func(d string) error { return unix.Setxattr(d+"/dir", "user.x", []byte("y"), unix.XATTR_CREATE) }},
	{"fsetxattr", func(d string) error {
		return withOpen(d+"/file", func(fd int) error { return unix.Fsetxattr(fd, "user.x", nil, 0) })
	}},
	{"removexattr", func(d string) error { return unix.Removexattr(d+"/file", "user.x") }},
}

// openAll are the ways to open for writing.
func openAll(path string, create bool) string {
	var n notes
	for _, how := range []struct {
		name  string
		flags int
	}{
		{"O_RDONLY", unix.O_RDONLY}, {"O_WRONLY", unix.O_WRONLY}, {"O_RDWR", unix.O_RDWR}, {"O_RDONLY|O_TRUNC", unix.O_TRUNC},
		{"O_WRONLY|O_TRUNC", unix.O_WRONLY | unix.O_TRUNC}, {"O_RDWR|O_TRUNC", unix.O_RDWR | unix.O_TRUNC},
		{"O_WRONLY|O_APPEND", unix.O_WRONLY | unix.O_APPEND}, {"O_RDWR|O_DIRECT", unix.O_RDWR | unix.O_DIRECT},
	} {
		flags := how.flags
		if create {
			flags |= unix.O_CREAT
		}
		n.add("%s: %v", how.name, result(opened(unix.Open(path, flags|unix.O_CLOEXEC, 0o644))))
		if create {
			n.add("%s|O_EXCL: %v", how.name, result(opened(unix.Open(path, flags|unix.O_EXCL, 0o644))))
		}
	}
	return n.String()
}

func (s *suite) refused(t *testing.T) {
	before := s.look(t)
	for _, m := range mutations {
		if got := errno(m.call(s.mount + victim)); got != "EROFS" {
			t.Errorf("%s: %s, want EROFS", m.name, got)
		}
	}
	// Older kernels let FUSE answer this ioctl, which knows none.
	if got := errno(setFlags(s.mount + victim + "/file")); got != "EROFS" && got != "ENOTTY" {
		t.Errorf("FS_IOC_SETFLAGS: %s", got)
	}
	if after := s.look(t); after != before {
		t.Errorf("before:\n%s\nafterwards:\n%s", before, after)
	}
}

// look is what there is to be changed, in the mount and behind it.
func (s *suite) look(t *testing.T) string {
	const script = `cd "$1" && ls -laR --full-time && cksum file full/file`
	return sh(t, s.native+victim, script) + sh(t, s.mount+victim, script)
}

func (s *suite) openFlags(t *testing.T) {
	in := s.mount + victim
	for line := range strings.Lines(openAll(in+"/file", false)) {
		if want := map[bool]string{true: "O_RDONLY: ok\n"}[strings.HasPrefix(line, "O_RDONLY:")]; line != want && !strings.HasSuffix(line, ": EROFS\n") {
			t.Errorf("an existing file: %s", line)
		}
	}
	for line := range strings.Lines(openAll(in+"/file", true)) {
		want := "EROFS"
		if strings.Contains(line, "O_EXCL") {
			want = "EEXIST"
		} else if strings.HasPrefix(line, "O_RDONLY:") {
			want = "ok"
		}
		if !strings.HasSuffix(line, ": "+want+"\n") {
			t.Errorf("an existing file, with O_CREAT: %s, want %s", line, want)
		}
	}
	for line := range strings.Lines(openAll(in+"/missing", true)) {
		if !strings.HasSuffix(line, ": EROFS\n") {
			t.Errorf("a missing file, with O_CREAT: %s, want EROFS", line)
		}
	}
	s.same(t, func(dir string) string { return openAll(dir+victim+"/missing", false) })
	s.same(t, func(dir string) string { // EISDIR, but not for O_RDONLY
		return strings.ReplaceAll(openAll(dir+victim+"/dir", false), "EROFS", "EISDIR")
	})
	s.same(t, func(dir string) string { return openAll(dir+victim+"/dir/", true) })
}

// ordinaryErrors are those that a read-only file system shares with all others.
func (s *suite) ordinaryErrors(t *testing.T) {
	s.same(t, func(dir string) string {
		var n notes
		d := dir + victim
		n.add("mkdir existing: %v", result(unix.Mkdir(d+"/dir", 0o755)))
		n.add("mkdir over a file: %v", result(unix.Mkdir(d+"/file", 0o755)))
		n.add("symlink existing: %v", result(unix.Symlink("x", d+"/link")))
		n.add("link existing: %v", result(unix.Link(d+"/file", d+"/link")))
		n.add("unlink below a file: %v", result(unix.Unlink(d+"/file/x")))
		n.add("truncate missing: %v", result(unix.Truncate(d+"/missing", 0)))
		n.add("truncate a directory: %v", result(unix.Truncate(d+"/dir", 0)))
		n.add("chmod missing: %v", result(unix.Chmod(d+"/missing", 0o600)))
		n.add("rename to another file system: %v", result(unix.Rename(d+"/file", "/proc/new")))
		n.add("link to another file system: %v", result(unix.Link(d+"/file", "/proc/new")))
		err := withOpen(d+"/file", func(fd int) error {
			_, err := unix.Write(fd, []byte("x"))
			n.add("write: %v", result(err))
			_, err = unix.Pwrite(fd, []byte("x"), 5)
			n.add("pwrite: %v", result(err))
			n.add("ftruncate: %v", result(unix.Ftruncate(fd, 0)))
			n.add("fallocate: %v", result(unix.Fallocate(fd, 0, 0, 10)))
			n.add("punch a hole: %v", result(unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 10)))
			_, err = unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			n.add("mmap to write: %v", result(err))
			mapped, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			n.add("mprotect to write: %v", result(unix.Mprotect(mapped, unix.PROT_READ|unix.PROT_WRITE)))
			n.add("munmap: %v", result(unix.Munmap(mapped)))
			return withOpen(dir+copied+"/sizes/4097", func(from int) error {
				_, err := unix.CopyFileRange(from, nil, fd, nil, 100, 0)
				n.add("copy_file_range: %v", result(err))
				_, err = unix.Sendfile(fd, from, nil, 100)
				n.add("sendfile: %v", result(err))
				return nil
			})
		})
		n.add("to read: %v", result(err))
		n.add("fsync: %v", result(withOpen(d+"/file", unix.Fsync)))
		n.add("fdatasync: %v", result(withOpen(d+"/file", unix.Fdatasync)))
		n.add("fsync of a directory: %v", result(withOpen(d, unix.Fsync)))
		n.add("syncfs: %v", result(withOpen(d, unix.Syncfs)))
		return n.String()
	})
	// Into the mount from outside: another file system.
	d := s.mount + victim
	outside := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(outside, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"rename": unix.Rename(outside, d+"/new"), "link": unix.Link(outside, d+"/new")} {
		if e := errno(err); e != "EXDEV" && e != "EROFS" {
			t.Errorf("%s into the mount: %s, want EXDEV or EROFS", name, e)
		}
	}
}

// access: to write is EROFS for what lies on the file system itself, unless the mode forbids it; all
// else is as behind the mount.
func (s *suite) access(t *testing.T) {
	calls := map[string]func(path string, mode uint32) error{
		"access": unix.Access,
		"faccessat2 AT_EACCESS": func(path string, mode uint32) error {
			return unix.Faccessat2(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
		},
		"faccessat2 AT_SYMLINK_NOFOLLOW": func(path string, mode uint32) error {
			return unix.Faccessat2(unix.AT_FDCWD, path, mode, unix.AT_SYMLINK_NOFOLLOW)
		},
	}
	paths := []string{victim + "/missing", victim + "/file/x", copied + "/links/fifo", modes + "/null"}
	var writable []string
	for _, place := range []string{modes, victim, copied + "/links"} {
		entries, err := os.ReadDir(s.native + place)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			path := place + "/" + e.Name()
			if _, err := os.Stat(s.native + path); err == nil && e.Type()&(os.ModeNamedPipe|os.ModeDevice) == 0 && e.Name() != "etc" {
				writable = append(writable, path)
			}
		}
	}
	s.same(t, func(dir string) string {
		var n notes
		for name, call := range calls {
			for _, mode := range []uint32{unix.F_OK, unix.R_OK, unix.X_OK, unix.R_OK | unix.X_OK} {
				for _, path := range slices.Concat(paths, writable) {
					n.add("%s %q %d: %v", name, path, mode, result(call(dir+path, mode)))
				}
			}
			for _, path := range paths { // special files can be written to
				n.add("%s %q to write: %v", name, path, result(call(dir+path, unix.W_OK)))
			}
		}
		return sorted(n.String())
	})
	for name, call := range calls {
		for _, mode := range []uint32{unix.W_OK, unix.W_OK | unix.R_OK} {
			for _, path := range writable {
				got, behind := errno(call(s.mount+path, mode)), errno(call(s.native+path, mode))
				if got != "EROFS" && (got != "EACCES" || behind != "EACCES") {
					t.Errorf("%s %q %d: %s, behind the mount %s", name, path, mode, got, behind)
				}
			}
		}
	}
}

// sorted is the text with its lines in order.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
