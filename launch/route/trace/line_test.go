package trace

import (
	"slices"
	"strings"
	"testing"
)

// TestLines: recorded lines of several versions of strace.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		want        []Access
	}{
		{"open", `10 openat(AT_FDCWD</w>, "/a/b", O_RDONLY|O_CLOEXEC) = 3</a/real>`, []Access{{Op: Open, Path: "/a/b", Real: "/a/real", Size: -1}}},
		{"below the working directory", `10 openat(AT_FDCWD</w>, "b/../c", O_RDONLY) = -1 ENOENT (No such file or directory)`, []Access{{Op: Open, Path: "/w/c", Errno: "ENOENT", Size: -1}}},
		{"an old strace says no directory", `10 openat(AT_FDCWD, "b", O_RDONLY) = 3</start/b>`, []Access{{Op: Open, Path: "/start/b", Real: "/start/b", Size: -1}}},
		{"below a descriptor", `10 openat(5</d>, "b", O_RDONLY) = 3</d/b>`, []Access{{Op: Open, Path: "/d/b", Real: "/d/b", Size: -1}}},
		{"below a descriptor that is not told", `10 openat(5, "b", O_RDONLY) = 3`, nil},
		{"for writing", `10 openat(AT_FDCWD</w>, "/o", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 3</o>`, []Access{{Op: Change, Path: "/o", Size: -1}}},
		{"openat2", `10 openat2(AT_FDCWD</w>, "/o", {flags=O_RDWR, resolve=0}, 24) = 3</o>`, []Access{{Op: Change, Path: "/o", Size: -1}}},
		{"stat", `10 newfstatat(AT_FDCWD</w>, "/a", {st_mode=S_IFREG|0644, st_size=1370, ...}, 0) = 0`, []Access{{Op: Stat, Path: "/a", Size: 1370}}},
		{"of a directory", `10 stat("/a", {st_mode=S_IFDIR|0755, st_size=4096, ...}) = 0`, []Access{{Op: Stat, Path: "/a", Size: -1}}},
		{"statx", `10 statx(AT_FDCWD</w>, "/a", AT_STATX_SYNC_AS_STAT, STATX_ALL, {stx_mask=STATX_ALL|STATX_MNT_ID, stx_attributes=0, stx_mode=S_IFREG|0644, stx_size=5, ...}) = 0`,
			[]Access{{Op: Stat, Path: "/a", Size: 5}}},
		{"of a descriptor", `10 newfstatat(3</a>, "", {st_mode=S_IFREG|0644, st_size=7, ...}, AT_EMPTY_PATH) = 0`, []Access{{Op: Size, Path: "/a", Size: 7}}},
		{"of a pipe", `10 newfstatat(1<pipe:[5162417]>, "", {st_mode=S_IFIFO|0600, st_size=0, ...}, AT_EMPTY_PATH) = 0`, nil},
		{"read", `10 read(3</a>, ""..., 8192) = 1370`, []Access{{Op: Read, Path: "/a", Bytes: 1370, Size: -1}}},
		{"read of a socket", `10 read(3<socket:[99]>, ""..., 8192) = 1370`, nil},
		{"read of nothing", `10 read(3</a>, "", 8192) = 0`, nil},
		{"read that fails", `10 read(3</a>, 0x7ffd, 8192) = -1 EISDIR (Is a directory)`, nil},
		{"mmap", `10 mmap(NULL, 913680, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 3</lib/libm.so.6>, 0) = 0x7fd468e52000`, []Access{{Op: Read, Path: "/lib/libm.so.6", Bytes: 913680, Size: -1}}},
		{"mmap of memory", `10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7fd468f3c000`, nil},
		{"listing", `10 getdents64(3</etc>, 0x24d5b6f0 /* 147 entries */, 32768) = 4664`, []Access{{Op: List, Path: "/etc", Size: -1}}},
		{"readlink", `10 readlink("/a/l", ""..., 4095) = 9`, []Access{{Op: Link, Path: "/a/l", Size: -1}}},
		{"execve", `10 execve("/usr/bin/cat", ["cat", "a, \"b)"], 0x5592 /* 39 vars */) = 0`, []Access{{Op: Exec, Path: "/usr/bin/cat", Size: -1}}},
		{"rename", `10 rename("/a", "b") = 0`, []Access{{Op: Change, Path: "/a", Size: -1}, {Op: Change, Path: "/start/b", Size: -1}}},
		{"symlink: what it leads to is no access", `10 symlinkat("/to", 4</d>, "l") = 0`, []Access{{Op: Change, Path: "/d/l", Size: -1}}},
		{"no path", `10 utimensat(3</a>, NULL, NULL, 0) = 0`, nil},
		{"escapes", `10 openat(AT_FDCWD</w>, "/a<b>,c\" (d) \303\251\n\t\\\0017\x41", O_RDONLY) = 3</a\74b\76,c\" (d) \303\251\n\t\\\0017A>`,
			[]Access{{Op: Open, Path: "/a<b>,c\" (d) é\n\t\\\x017A", Real: "/a<b>,c\" (d) é\n\t\\\x017A", Size: -1}}},
		{"removed meanwhile", `10 openat(AT_FDCWD</w>, "/a", O_RDONLY) = 3</a (deleted)>`, []Access{{Op: Open, Path: "/a", Size: -1}}},
		{"padding", `10 access("/etc/x", R_OK)      = -1 ENOENT (No such file or directory)`, []Access{{Op: Stat, Path: "/etc/x", Errno: "ENOENT", Size: -1}}},
		{"without an answer", `10 openat(AT_FDCWD</w>, "/a", O_RDONLY) = ?`, []Access{{Op: Open, Path: "/a", Errno: "unknown", Size: -1}}},
		{"unfinished", `10 openat(AT_FDCWD</w>, "/a b", O_RDONLY <unfinished ...>
11 access("/x", F_OK <unfinished ...>
10 <... openat resumed>)                = 3</a b>
11 <... access resumed>) = -1 ENOTDIR (Not a directory)`,
			[]Access{{Op: Open, Path: "/a b", Real: "/a b", Size: -1}, {Op: Stat, Path: "/x", Errno: "ENOTDIR", Size: -1}}},
		{"resumed with arguments", `10 newfstatat(AT_FDCWD</w>, "/a",  <unfinished ...>
10 <... newfstatat resumed>{st_mode=S_IFREG|0644, st_size=3, ...}, 0) = 0`, []Access{{Op: Stat, Path: "/a", Size: 3}}},
		{"chdir", `10 chdir("/d") = 0
10 access("x", F_OK) = 0
10 chdir("no") = -1 ENOENT (No such file or directory)
10 access("x", F_OK) = 0
10 fchdir(3</e>) = 0
10 access("x", F_OK) = 0`, []Access{{Op: Stat, Path: "/d", Size: -1}, {Op: Stat, Path: "/d/x", Size: -1}, {Op: Stat, Path: "/d/no", Errno: "ENOENT", Size: -1},
			{Op: Stat, Path: "/d/x", Size: -1}, {Op: Stat, Path: "/e/x", Size: -1}}},
		{"a child begins where its parent is", `10 chdir("/d") = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 11
11 access("x", F_OK) = 0`, []Access{{Op: Stat, Path: "/d", Size: -1}, {Op: Stat, Path: "/d/x", Size: -1}}},
		{"and is heard of before the parent knows", `10 chdir("/d") = 0
10 vfork( <unfinished ...>
11 access("x", F_OK) = 0
10 <... vfork resumed>)              = 11
10 chdir("/e") = 0
11 access("y", F_OK) = 0`, []Access{{Op: Stat, Path: "/d", Size: -1}, {Op: Stat, Path: "/d/x", Size: -1}, {Op: Stat, Path: "/e", Size: -1}, {Op: Stat, Path: "/d/y", Size: -1}}},
		{"what is no call", `10 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11} ---
10 +++ exited with 0 +++
10 <... read resumed>"", 10) = 5
10 openat(AT_FDCWD</w>, "/a
nonsense

10
x openat(AT_FDCWD</w>, "/a", O_RDONLY) = 3</a>`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []Access
			tr := newTracer("/start", func(a Access) { got = append(got, a) })
			for line := range strings.Lines(c.lines) {
				tr.line(strings.TrimSuffix(line, "\n"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("\n%+v, want\n%+v", got, c.want)
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	f.Add("10 openat(AT_FDCWD</w>, \"/a\", O_RDONLY <unfinished ...>\n10 <... openat resumed>) = 3</a>")
	f.Add("10 newfstatat(3</a\\74>, \"\", {st_mode=S_IFREG|0644, st_size=7, ...}, AT_EMPTY_PATH) = 0")
	f.Fuzz(func(t *testing.T, lines string) {
		tr := newTracer("/start", func(a Access) {
			if !strings.HasPrefix(a.Path, "/") {
				t.Errorf("%+v is not absolute", a)
			}
		})
		for line := range strings.Lines(lines) {
			tr.line(line)
		}
	})
}
