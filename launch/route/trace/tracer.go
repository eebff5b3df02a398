package trace

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// naming is where a call has its paths, and what it does to them.
type naming struct {
	op    Op
	paths [][2]int // index of the directory's descriptor, -1 for none, and of the path
}

func at(dir, path int) [][2]int { return [][2]int{{dir, path}} }

// byName are the calls that name paths.
var byName = map[string]naming{
	"open": {Open, at(-1, 0)}, "openat": {Open, at(0, 1)}, "openat2": {Open, at(0, 1)},
	"stat": {Stat, at(-1, 0)}, "lstat": {Stat, at(-1, 0)}, "stat64": {Stat, at(-1, 0)}, "lstat64": {Stat, at(-1, 0)},
	"newfstatat": {Stat, at(0, 1)}, "fstatat64": {Stat, at(0, 1)}, "statx": {Stat, at(0, 1)},
	"access": {Stat, at(-1, 0)}, "faccessat": {Stat, at(0, 1)}, "faccessat2": {Stat, at(0, 1)},
	"statfs": {Stat, at(-1, 0)}, "statfs64": {Stat, at(-1, 0)}, "chdir": {Stat, at(-1, 0)},
	"getxattr": {Stat, at(-1, 0)}, "lgetxattr": {Stat, at(-1, 0)}, "listxattr": {Stat, at(-1, 0)}, "llistxattr": {Stat, at(-1, 0)},
	"readlink": {Link, at(-1, 0)}, "readlinkat": {Link, at(0, 1)},
	"execve": {Exec, at(-1, 0)}, "execveat": {Exec, at(0, 1)},

	"creat": {Change, at(-1, 0)}, "mkdir": {Change, at(-1, 0)}, "mkdirat": {Change, at(0, 1)}, "mknod": {Change, at(-1, 0)},
	"mknodat": {Change, at(0, 1)}, "unlink": {Change, at(-1, 0)}, "unlinkat": {Change, at(0, 1)}, "rmdir": {Change, at(-1, 0)},
	"truncate": {Change, at(-1, 0)}, "truncate64": {Change, at(-1, 0)}, "chmod": {Change, at(-1, 0)}, "fchmodat": {Change, at(0, 1)},
	"fchmodat2": {Change, at(0, 1)}, "chown": {Change, at(-1, 0)}, "lchown": {Change, at(-1, 0)}, "fchownat": {Change, at(0, 1)},
	"utime": {Change, at(-1, 0)}, "utimes": {Change, at(-1, 0)}, "futimesat": {Change, at(0, 1)}, "utimensat": {Change, at(0, 1)},
	"setxattr": {Change, at(-1, 0)}, "lsetxattr": {Change, at(-1, 0)}, "removexattr": {Change, at(-1, 0)},
	"symlink": {Change, at(-1, 1)}, "symlinkat": {Change, at(1, 2)},
	"link": {Change, at(-1, 1)}, "linkat": {Change, at(2, 3)},
	"rename": {Change, [][2]int{{-1, 0}, {-1, 1}}}, "renameat": {Change, [][2]int{{0, 1}, {2, 3}}}, "renameat2": {Change, [][2]int{{0, 1}, {2, 3}}},
}

// reads are the calls that return how many bytes they have read of the descriptor at this index.
var reads = map[string]int{"read": 0, "pread64": 0, "readv": 0, "preadv": 0, "preadv2": 0, "sendfile": 1, "sendfile64": 1, "copy_file_range": 0}

// forks are the calls that return a new process, which inherits the working directory.
var forks = map[string]bool{"clone": true, "clone3": true, "fork": true, "vfork": true}

// filter is the calls that strace is to tell; ? is for those that not every machine has.
const filter = "trace=%file,?fchdir,?clone,?clone3,?fork,?vfork,?read,?pread64,?readv,?preadv,?preadv2,?sendfile,?copy_file_range,?mmap,?mmap2,?getdents,?getdents64,?fstat"

// tracer follows processes.
type tracer struct {
	lines   lines
	start   string         // the command's working directory
	cwd     map[int]string // by process or thread
	forking []int          // processes within a call of forks
	first   int            // the command's process; 0 while not known
	see     func(Access)
}

func newTracer(start string, see func(Access)) *tracer {
	return &tracer{lines: lines{open: map[int]string{}}, start: start, cwd: map[int]string{}, see: see}
}

// line takes one line of strace.
func (t *tracer) line(text string) {
	c, begun, ok := t.lines.next(text)
	if c.pid <= 0 {
		return
	}
	if t.first == 0 {
		t.first = c.pid
	}
	if _, known := t.cwd[c.pid]; !known {
		t.cwd[c.pid] = t.start
		// It may be heard of before its parent's call has returned.
		if n := len(t.forking); n > 0 {
			t.cwd[c.pid] = t.cwd[t.forking[n-1]]
		}
	}
	if forks[begun] {
		t.forking = append(t.forking, c.pid)
	}
	if ok {
		t.call(c)
	}
}

func (t *tracer) call(c call) {
	if forks[c.name] {
		for i, pid := range t.forking {
			if pid == c.pid {
				t.forking = append(t.forking[:i], t.forking[i+1:]...)
				break
			}
		}
		if child := int(c.result); child > 0 && t.cwd[child] == "" {
			t.cwd[child] = t.cwd[c.pid]
		}
		return
	}
	if s, ok := byName[c.name]; ok {
		t.named(c, s)
		return
	}
	if c.result < 0 {
		return
	}
	if i, ok := reads[c.name]; ok {
		t.bytes(c, i, c.result)
		return
	}
	switch c.name {
	case "mmap", "mmap2":
		if len(c.args) > 4 && !strings.Contains(c.args[3], "MAP_ANONYMOUS") {
			if n, err := strconv.ParseInt(c.args[1], 0, 64); err == nil {
				t.bytes(c, 4, n)
			}
		}
	case "getdents", "getdents64":
		if path := fileAt(c, 0); path != "" {
			t.see(Access{Op: List, Path: path, Size: -1})
		}
	case "fstat":
		if path := fileAt(c, 0); path != "" {
			t.see(Access{Op: Size, Path: path, Size: size(c)})
		}
	case "fchdir":
		if path := fileAt(c, 0); path != "" {
			t.cwd[c.pid] = path
		}
	}
}

func (t *tracer) bytes(c call, fd int, n int64) {
	if path := fileAt(c, fd); path != "" && n > 0 {
		t.see(Access{Op: Read, Path: path, Bytes: n, Size: -1})
	}
}

// fileAt is the path of the file that argument i is a descriptor of, "" if it is none that has a name.
func fileAt(c call, i int) string {
	if i >= len(c.args) {
		return ""
	}
	return regular(fileArg(c.args[i]))
}

// regular is "" for what has no name in the file system: sockets, pipes, removed files.
func regular(path string) string {
	if !filepath.IsAbs(path) || strings.HasSuffix(path, " (deleted)") {
		return ""
	}
	return filepath.Clean(path)
}

func (t *tracer) named(c call, s naming) {
	for _, p := range s.paths {
		if p[1] >= len(c.args) {
			continue
		}
		name, ok := stringArg(c.args[p[1]])
		if !ok {
			continue
		}
		dir := t.cwd[c.pid]
		if p[0] >= 0 {
			known, here := fileArg(c.args[p[0]]), strings.HasPrefix(c.args[p[0]], "AT_FDCWD")
			if known != "" || !here { // an old strace says AT_FDCWD alone
				dir = known
			}
			if here {
				t.cwd[c.pid] = dir
			}
		}
		if name == "" && p[0] >= 0 && c.result >= 0 { // AT_EMPTY_PATH: the descriptor itself
			if file := fileAt(c, p[0]); file != "" && s.op == Stat {
				t.see(Access{Op: Size, Path: file, Size: size(c)})
			}
			continue
		}
		path := filepath.Clean(name)
		if !filepath.IsAbs(name) {
			if path = filepath.Join(dir, name); !filepath.IsAbs(dir) {
				continue // it can't be told
			}
		}
		if c.name == "chdir" && c.result == 0 {
			t.cwd[c.pid] = path
		}
		a := Access{Op: s.op, Path: path, Errno: c.errno, Size: -1}
		if s.op == Open && len(c.args) > p[1]+1 && writes(c.args[p[1]+1]) {
			a.Op = Change
		}
		switch a.Op {
		case Open:
			a.Real = regular(c.file)
		case Stat:
			a.Size = size(c)
		}
		t.see(a)
	}
}

var changing = regexp.MustCompile(`\b(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE)\b`)

func writes(flags string) bool { return changing.MatchString(flags) }

var sized = regexp.MustCompile(`S_IFREG.*\bstx?_size=(\d+)`)

// size is what a call tells of a regular file's size.
func size(c call) int64 {
	for _, arg := range c.args {
		if !strings.HasPrefix(arg, "{") {
			continue
		}
		if m := sized.FindStringSubmatch(arg); m != nil {
			if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}
