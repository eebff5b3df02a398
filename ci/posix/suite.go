package posix

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// suite is a run of the tests. Its directories hold what [Build] made.
type suite struct{ native, mount string }

// Run checks that mount shows the directory native, which [Build] filled, and changes nothing.
func Run(t *testing.T, native, mount string) {
	s := &suite{native: native, mount: mount}
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T)
	}{
		{"Mutations", map[string]func(*testing.T){
			"Refused": s.refused, "OpenFlags": s.openFlags, "Ordinary": s.ordinaryErrors, "Access": s.access,
		}},
		{"Directories", map[string]func(*testing.T){
			"Entries": s.entries, "Offsets": s.offsets, "Streams": s.streams,
		}},
		{"Names", map[string]func(*testing.T){
			"Odd": s.oddNames, "LongPaths": s.longPaths, "Beyond": s.beyondPathMax, "Links": s.links,
		}},
		{"Attributes", map[string]func(*testing.T){
			"Stat": s.stat, "Inodes": s.inodes, "StatFS": s.statfs, "Handles": s.handles, "XAttr": s.xattr, "Special": s.special,
		}},
		{"Content", map[string]func(*testing.T){
			"Sizes": s.sizes, "Sparse": s.sparse, "Holes": s.holes, "Mapped": s.mapped, "Ways": s.waysOfReading, "IOUring": s.ioUring,
		}},
		{"Processes", map[string]func(*testing.T){
			"Exec": s.exec, "Parallel": s.parallel, "Locks": s.locks, "Watch": s.watch, "Descriptors": s.descriptors,
		}},
		{"Tools", s.tools()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, test)
			}
		})
	}
}

// same fails unless what is seen in the mount is what is seen behind it, line by line.
func (s *suite) same(t *testing.T, look func(dir string) string) {
	t.Helper()
	const most = 10 // differences that are shown
	got := strings.Split(strings.ReplaceAll(look(s.mount), s.mount, "@"), "\n")
	want := strings.Split(strings.ReplaceAll(look(s.native), s.native, "@"), "\n")
	shown := 0
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("in the mount  %.300q\nbehind it     %.300q", g, w)
			if shown++; shown == most {
				t.Fatal("and so on")
			}
		}
	}
}

// notes are what was seen, a line each.
type notes struct{ strings.Builder }

func (n *notes) add(format string, args ...any) {
	for i, a := range args {
		if err, ok := a.(error); ok {
			args[i] = errno(err)
		}
	}
	fmt.Fprintf(n, format+"\n", args...)
}

// errno is the name of the error's number.
func errno(err error) string {
	var e syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		if e == unix.EOPNOTSUPP {
			return "EOPNOTSUPP" // which has two names
		}
		if name := unix.ErrnoName(e); name != "" {
			return name
		}
	}
	return err.Error()
}

// result is errno of an error that may be nil.
func result(err error) error {
	if err == nil {
		return errOK
	}
	return err
}

var errOK = errors.New("ok")

// sh runs a script with dir as $1 in an empty directory and returns what it printed, the complaints
// and the exit status among it.
func sh(t testing.TB, dir, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", script, "bash", dir)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s\n%v", out, err)
	}
	return string(out)
}

// open opens for reading, until the end of the test.
func open(t testing.TB, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
