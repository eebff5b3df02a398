package fuse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// helper is the main function of the helper process; it prints one line for each thing it did.
func helper(args []string) int {
	switch args[0] {
	case "stat": // every path given
		for _, p := range args[1:] {
			var st unix.Stat_t
			fmt.Println(errnoName(unix.Lstat(p, &st)))
		}
	case "wait-stat": // tells that it starts, catches SIGUSR1
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
		fmt.Println("ready")
		var st unix.Stat_t
		fmt.Println(errnoName(unix.Lstat(args[1], &st)))
	case "wait-fault": // the same with a page fault that reads one page
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
		fd, err := unix.Open(args[1], unix.O_RDONLY, 0)
		if err != nil {
			return report(err)
		}
		mapped, err := unix.Mmap(fd, 0, 1, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return report(err)
		}
		if err := unix.Madvise(mapped, unix.MADV_RANDOM); err != nil {
			return report(err)
		}
		fmt.Println("ready")
		fmt.Printf("%c\n", mapped[0])
	case "stormed": // signals dir n: uses n files while signals come all the time
		files, _ := strconv.Atoi(args[3])
		fmt.Println(errnoName(stormed(args[1], args[2], files)))
	case "same": // compares files in every way of reading
		return report(sameFiles(args[1], args[2]))
	case "direct": // off size: one READ with O_DIRECT, compared
		off, _ := strconv.ParseInt(args[3], 10, 64)
		size, _ := strconv.Atoi(args[4])
		return report(sameDirect(args[1], args[2], off, size))
	case "unmixed": // reads a file again and again: always one letter, of which there are as many as stat says
		return report(unmixed(args[1]))
	case "mutate":
		return mutate(args[1])
	case "names": // reads a directory, waiting for a line on stdin after the first piece
		return names(args[1], len(args) > 2)
	case "stale":
		return stale(args[1])
	case "odd": // operations that Copper leaves to the kernel
		return odd(args[1])
	case "probe": // looks at a file and its directory until a line comes, and prints what it met
		return probe(args[1], args[2])
	case "poll": // makes the kernel learn that POLL is not supported
		fd, err := unix.Open(args[1], unix.O_RDONLY, 0)
		if err == nil {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		}
		return report(err)
	default:
		return report(fmt.Errorf("no helper %q", args[0]))
	}
	return 0
}

func report(err error) int {
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// stormed looks at, opens and reads dir/0, dir/1, … by bare system calls, which nobody repeats, and
// returns the first error.
func stormed(signals, dir string, files int) error {
	const interval = 500 // µs
	if signals == "SIGURG" {
		main := unix.Gettid()
		go func() {
			for {
				time.Sleep(interval * time.Microsecond)
				_ = unix.Tgkill(unix.Getpid(), main, unix.SIGURG)
			}
		}()
		for range 2 { // and the runtime's own
			go func() {
				for i := 0; ; i++ {
					_ = make([]byte, i%100_000)
				}
			}()
		}
	} else {
		signal.Notify(make(chan os.Signal, 1), unix.SIGALRM)
		if strings.HasSuffix(signals, "without SA_RESTART") {
			if err := withoutRestart(unix.SIGALRM); err != nil {
				return err
			}
		}
		every := unix.Timeval{Usec: interval}
		if _, err := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{Interval: every, Value: every}); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for i := range files {
		path := dir + "/" + strconv.Itoa(i)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		content := make([]byte, st.Size)
		if n, err := unix.Read(fd, content); n != len(content) || err != nil || string(content) != "content" {
			return fmt.Errorf("%s: %q, %w", path, content[:max(n, 0)], err)
		}
		unix.Close(fd)
	}
	return nil
}

// withoutRestart makes the system calls that a signal interrupts return EINTR.
func withoutRestart(sig syscall.Signal) error {
	const saRestart = 0x10000000
	var action struct { // as the kernel has it
		handler, flags, restorer uintptr
		mask                     uint64
	}
	at := unsafe.Pointer(&action)
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(at), 8, 0, 0); errno != 0 {
		return errno
	}
	action.flags &^= saRestart
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(at), 0, 8, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func sameFiles(got, want string) error {
	expected, err := os.ReadFile(want)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(got)
	if err != nil || !bytes.Equal(data, expected) {
		return fmt.Errorf("%s read: %d bytes, want %d (%w)", got, len(data), len(expected), err)
	}
	f, err := os.Open(got)
	if err != nil {
		return err
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(uint64(len(expected)), 1))
	for range 50 {
		off := random.IntN(len(expected) + 10)
		n := random.IntN(300_000)
		buf := make([]byte, n)
		read, err := f.ReadAt(buf, int64(off))
		rest := expected[min(off, len(expected)):]
		if read != min(n, len(rest)) || !bytes.Equal(buf[:read], rest[:read]) || (read < n) != (err == io.EOF) {
			return fmt.Errorf("%s pread %d at %d: %d bytes (%w)", got, n, off, read, err)
		}
	}
	if len(expected) == 0 {
		return nil
	}
	for _, advice := range []int{unix.MADV_RANDOM, unix.MADV_NORMAL} {
		mapped, err := unix.Mmap(int(f.Fd()), 0, len(expected), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("%s mmap: %w", got, err)
		}
		if err := unix.Madvise(mapped, advice); err != nil {
			return err
		}
		if !bytes.Equal(mapped, expected) {
			return fmt.Errorf("%s: content by mmap differs", got)
		}
		if err := unix.Munmap(mapped); err != nil {
			return err
		}
	}
	return nil
}

func unmixed(path string) error {
	whole := 0
	for range 300 {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(f)
		var st unix.Stat_t
		statErr := unix.Fstat(int(f.Fd()), &st)
		f.Close()
		if errnoName(err) == "ESTALE" {
			continue
		}
		if err != nil || statErr != nil {
			return fmt.Errorf("%w %w", err, statErr)
		}
		if len(data) != int(st.Size) || len(data) == 0 || bytes.Count(data, data[:1]) != len(data) {
			return fmt.Errorf("%d bytes of %d, or of two versions", len(data), st.Size)
		}
		whole++
	}
	if whole == 0 {
		return fmt.Errorf("never read it whole")
	}
	return nil
}

func sameDirect(got, want string, off int64, size int) error {
	expected, err := os.ReadFile(want)
	if err != nil {
		return err
	}
	expected = expected[min(off, int64(len(expected))):]
	expected = expected[:min(size, len(expected))]
	fd, err := unix.Open(got, unix.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	buf, err := unix.Mmap(-1, 0, size+4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	n, err := unix.Pread(fd, buf[:size], off)
	if err != nil || !bytes.Equal(buf[:max(n, 0)], expected) {
		return fmt.Errorf("%s: pread with O_DIRECT, %d at %d: %d bytes, want %d (%w)", got, size, off, n, len(expected), err)
	}
	return nil
}

// mutate tries to change everything and prints what it was told.
func mutate(dir string) int {
	file, sub := dir+"/file", dir+"/dir"
	open := func(flags int) error {
		fd, err := unix.Open(file, flags, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	read, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return report(err)
	}
	for _, m := range []struct {
		name string
		err  error
	}{
		{"open for writing", open(unix.O_WRONLY)},
		{"open for reading and writing", open(unix.O_RDWR)},
		{"open to truncate", open(unix.O_RDONLY | unix.O_TRUNC)},
		{"open to append", open(unix.O_WRONLY | unix.O_APPEND)},
		{"create", func() error { _, err := unix.Open(dir+"/new", unix.O_CREAT|unix.O_WRONLY, 0o644); return err }()},
		{"create temporary", func() error { _, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600); return err }()},
		{"mkdir", unix.Mkdir(dir+"/new", 0o755)},
		{"mknod", unix.Mknod(dir+"/new", unix.S_IFIFO|0o644, 0)},
		{"symlink", unix.Symlink("x", dir+"/new")},
		{"link", unix.Link(file, dir+"/new")},
		{"unlink", unix.Unlink(file)},
		{"rmdir", unix.Rmdir(sub)},
		{"rename", unix.Rename(file, dir+"/new")},
		{"truncate", unix.Truncate(file, 0)},
		{"chmod", unix.Chmod(file, 0o600)},
		{"chown", unix.Chown(file, 1, 1)},
		{"fchmod", unix.Fchmod(read, 0o600)},
		{"utimens", unix.UtimesNanoAt(unix.AT_FDCWD, file, []unix.Timespec{{}, {}}, 0)},
		{"setxattr", unix.Setxattr(file, "user.x", []byte("y"), 0)},
		{"removexattr", unix.Removexattr(file, "user.x")},
	} {
		fmt.Printf("%s: %s\n", m.name, errnoName(m.err))
	}
	return 0
}

// names reads a directory by getdents and checks that no name comes twice.
func names(dir string, pause bool) int {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return report(err)
	}
	seen := map[string]bool{}
	buf := make([]byte, 4096)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return report(err)
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			raw := b[unsafe.Offsetof(d.Name):d.Reclen]
			name := string(raw[:bytes.IndexByte(raw, 0)])
			if seen[name] {
				return report(fmt.Errorf("%s twice", name))
			}
			seen[name] = true
			b = b[d.Reclen:]
		}
		if pause {
			pause = false
			fmt.Println("paused", len(seen))
			if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
				return report(err)
			}
		}
	}
	list := make([]string, 0, len(seen))
	for name := range seen {
		list = append(list, name)
	}
	fmt.Println(len(seen), strings.Join(list[:min(len(list), 10)], " "))
	return 0
}

// stale opens a file, waits until it has been replaced, reads on, and opens it again.
func stale(path string) int {
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		return report(err)
	}
	buf := make([]byte, 4096)
	if _, err := unix.Pread(fd, buf, 0); err != nil {
		return report(err)
	}
	fmt.Println("opened")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return report(err)
	}
	_, err = unix.Pread(fd, buf, 3<<20)
	fmt.Println("old:", errnoName(err))
	for range 100 { // one suffices, unless the directory was locked at that very moment
		again, err := os.ReadFile(path)
		if err == nil {
			fmt.Printf("new: %d %q\n", len(again), again[:3])
			return 0
		}
		if errnoName(err) != "ESTALE" {
			return report(err)
		}
	}
	return report(fmt.Errorf("stale for ever"))
}

// probe asks for dir/name in all ways again and again, and prints how often it got the first answers
// again, and what else it got.
func probe(dir, name string) int {
	var over atomic.Bool
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		over.Store(true)
	}()
	path := dir + "/" + name
	ways := map[string]func() (string, error){
		"lstat": func() (string, error) {
			var st unix.Stat_t
			err := unix.Lstat(path, &st)
			return fmt.Sprint(st.Mode, st.Size), err
		},
		"read": func() (string, error) {
			content, err := os.ReadFile(path)
			return string(content), err
		},
		"list": func() (string, error) {
			entries, err := os.ReadDir(dir)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			return strings.Join(names, " "), err
		},
	}
	right, met := map[string]string{}, map[string]int{}
	for !over.Load() {
		for way, ask := range ways {
			answer, err := ask()
			if err != nil {
				answer = errnoName(err)
			}
			switch first, known := right[way]; {
			case !known && err == nil:
				right[way] = answer
			case answer == first:
				met["right"]++
			default:
				met[way+": "+answer]++
			}
			if len(right) == len(ways) && met["right"] == 0 {
				met["right"]++
				fmt.Println("ready")
			}
		}
	}
	fmt.Println(met)
	return 0
}

func odd(file string) int {
	fd, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return report(err)
	}
	show := func(name string, err error) { fmt.Printf("%s: %s\n", name, errnoName(err)) }
	for range 2 {
		_, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		show("isatty", err)
		_, err = unix.Getxattr(file, "user.x", make([]byte, 10))
		show("getxattr", err)
		_, err = unix.Listxattr(file, make([]byte, 10))
		show("listxattr", err)
		end, err := unix.Seek(fd, 0, unix.SEEK_HOLE)
		show("seek hole "+strconv.FormatInt(end, 10), err)
		show("fsync", unix.Fsync(fd))
		show("access", unix.Access(file, unix.R_OK))
		show("flock", unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB))
		lock := unix.Flock_t{Type: unix.F_RDLCK}
		show("fcntl", unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock))
		var stx unix.Statx_t
		show("statx", unix.Statx(unix.AT_FDCWD, file, 0, unix.STATX_ALL, &stx))
		second, err := unix.Open(file, unix.O_RDONLY, 0)
		show("open", err)
		show("close", unix.Close(second))
	}
	return 0
}
