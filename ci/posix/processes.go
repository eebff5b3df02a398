package posix

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// exec runs programs and scripts, by path and by descriptor, and does not where the mode forbids it.
func (s *suite) exec(t *testing.T) {
	s.same(t, func(dir string) string {
		return sh(t, dir, `
			cd "$1`+modes+`"
			for f in f*; do echo "$f: $(./$f 2>&1 | sed 's/.*: //')"; done
			"$1`+program+`/hello" by path; cd "$1`+program+`" && ./hello by name; PATH=$PWD hello by PATH
			exec 9<hello; /proc/self/fd/9 by descriptor
			./plugins ./plugin-a.so ./plugin-b.so ./missing.so 2>&1`)
	})
	// The mount is nosuid: a program runs as who started it, whatever its mode says.
	var st unix.Statfs_t
	if err := unix.Statfs(s.mount, &st); err != nil || st.Flags&unix.ST_NOSUID == 0 {
		t.Errorf("the mount is not nosuid: %x, %v", st.Flags, err)
	}
}

// parallel: many processes read everything at once, and see the same.
func (s *suite) parallel(t *testing.T) {
	const script = `cd "$1` + copied + `" && { find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum; find . | LC_ALL=C sort; readlink links/soft; } | cksum`
	want := sh(t, s.native, script)
	for _, processes := range []int{12, 100} {
		done := make(chan string)
		for range processes {
			go func() {
				out, err := exec.Command("bash", "-c", script, "bash", s.mount).CombinedOutput()
				if err != nil {
					out = append(out, err.Error()...)
				}
				done <- string(out)
			}()
		}
		for range processes {
			if got := <-done; got != want {
				t.Errorf("%d processes: %.500q, want %q", processes, got, want)
			}
		}
	}
}

// locks of all three kinds hold within the node.
func (s *suite) locks(t *testing.T) {
	s.same(t, func(dir string) string {
		var n notes
		path := dir + victim + "/file"
		a, b := open(t, path, unix.O_RDONLY), open(t, path, unix.O_RDONLY)
		n.add("flock exclusively: %v", result(unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB)))
		n.add("and again: %v", result(unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB)))
		n.add("another process: %s", sh(t, path, `flock -n -s "$1" true; echo $?`))
		n.add("shared instead: %v", result(unix.Flock(a, unix.LOCK_SH|unix.LOCK_NB)))
		n.add("both: %v", result(unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB)))
		n.add("unlock: %v %v", result(unix.Flock(a, unix.LOCK_UN)), result(unix.Flock(b, unix.LOCK_UN)))
		n.add("a directory: %v", result(withOpen(dir+victim, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })))
		for _, kind := range []struct {
			name     string
			set, get int
		}{{"POSIX", unix.F_SETLK, unix.F_GETLK}, {"OFD", unix.F_OFD_SETLK, unix.F_OFD_GETLK}} {
			lock := func(fd int, what int16, start, length int64) error {
				return unix.FcntlFlock(uintptr(fd), kind.set, &unix.Flock_t{Type: what, Start: start, Len: length})
			}
			n.add("%s read lock: %v", kind.name, result(lock(a, unix.F_RDLCK, 0, 100)))
			n.add("shared: %v", result(lock(b, unix.F_RDLCK, 50, 100)))
			n.add("to write, of a descriptor to read: %v", result(lock(b, unix.F_WRLCK, 0, 1)))
			probe := unix.Flock_t{Type: unix.F_WRLCK}
			err := unix.FcntlFlock(uintptr(b), kind.get, &probe)
			n.add("held: %d %d %d %v", probe.Type, probe.Start, probe.Len, result(err))
			n.add("unlock: %v %v", result(lock(a, unix.F_UNLCK, 0, 0)), result(lock(b, unix.F_UNLCK, 0, 0)))
		}
		n.add("lease: %v", errno(lease(a)) != "ok")
		return n.String()
	})
}

// lease is what Samba and NFS servers ask for; no local file system must give it.
func lease(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
	return err
}

// watch: inotify takes files, directories and the mount's root, and tells what this node does to them.
func (s *suite) watch(t *testing.T) {
	s.same(t, func(dir string) string {
		var n notes
		for _, path := range []string{victim + "/file", victim, ""} {
			fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			_, err = unix.InotifyAddWatch(fd, dir+path, unix.IN_OPEN|unix.IN_CLOSE_NOWRITE|unix.IN_ACCESS)
			n.add("%q: %v", path, result(err))
			err = withOpen(dir+victim+"/file", func(fd int) error {
				_, err := unix.Read(fd, make([]byte, 1))
				return err
			})
			n.add("read: %v", result(err))
			n.add("of a directory: %v", result(withOpen(dir+path, func(int) error { return nil })))
			buf := make([]byte, 10000)
			length, err := unix.Read(fd, buf)
			for b := buf[:max(length, 0)]; len(b) > 0; {
				size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[unsafe.Offsetof(unix.InotifyEvent{}.Len):]))
				name := bytes.TrimRight(b[unix.SizeofInotifyEvent:size], "\x00")
				n.add("%x %q", binary.NativeEndian.Uint32(b[unsafe.Offsetof(unix.InotifyEvent{}.Mask):]), name)
				b = b[size:]
			}
			n.add("%v", result(err))
		}
		return n.String()
	})
}

// descriptors: their limit is the process's own, and a process in the mount knows where it is.
func (s *suite) descriptors(t *testing.T) {
	s.same(t, func(dir string) string {
		return sh(t, dir, `
			cd "$1`+copied+`/deep/d/d" && /bin/pwd && cd .. && /bin/pwd && ls -d "$PWD"
			readlink /proc/self/cwd
			ulimit -n 20
			for i in $(seq 30); do { exec {fd}<"$1`+victim+`/file"; } 2>&1 | sed 's/.*: //'; exec {fd}<"$1`+victim+`/file" || break; done 2>&1 | sed 's/.*: //'`)
	})
	const files = 500
	var fds []int
	for i := range files {
		fd, err := unix.Open(fmt.Sprintf("%s%s/%0*d", s.mount, many, 1+i%200, i), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(i, err)
		}
		fds = append(fds, fd)
	}
	for _, fd := range fds {
		unix.Close(fd)
	}
	at := open(t, s.mount+copied, unix.O_PATH)
	if name, err := filepath.EvalSymlinks(fmt.Sprintf("/proc/self/fd/%d", at)); err != nil || !strings.HasSuffix(name, copied) {
		t.Errorf("the name of an open directory: %q, %v", name, err)
	}
}
