package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// period is how long one rate is measured.
const period = 700 * time.Millisecond

// works are what a worker process can do with a path, each giving operations or bytes a second.
// They use plain system calls: nothing of Go's file layer is measured.
var works = map[string]func(path string) (float64, error){
	"stat":     func(dir string) (float64, error) { return each(dir, "", stat) },
	"absent":   func(dir string) (float64, error) { return each(dir, ".none", absent) },
	"open":     func(dir string) (float64, error) { return each(dir, "", openClose) },
	"readlink": func(dir string) (float64, error) { return each(dir, "", readlink) },
	"listdir":  listdir,
	"read":     read,
	"cold":     cold,
	"map":      mapTouch,
}

// work runs in a process of its own: a worker that opens files of a mount must not be the one who
// serves it, nor keep anything warm for the next.
func work(name, path string) error {
	rate, err := works[name](path)
	if err != nil {
		return fmt.Errorf("%s %s: %w", name, path, err)
	}
	fmt.Println(rate)
	return nil
}

// repeat is how often a second f can be done.
func repeat(n int, f func(i int) error) (float64, error) {
	if err := f(0); err != nil {
		return 0, err
	}
	done, begin := 0, time.Now()
	for time.Since(begin) < period {
		for range 100 {
			if err := f(done % n); err != nil {
				return 0, err
			}
			done++
		}
	}
	return float64(done) / time.Since(begin).Seconds(), nil
}

func each(dir, suffix string, f func(path string) error) (float64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	paths := make([]string, len(entries))
	for i, e := range entries {
		paths[i] = filepath.Join(dir, e.Name()) + suffix
	}
	return repeat(len(paths), func(i int) error { return f(paths[i]) })
}

func stat(path string) error {
	var st unix.Stat_t
	return unix.Lstat(path, &st)
}

func absent(path string) error {
	if err := stat(path); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("want ENOENT, got %v", err)
	}
	return nil
}

func openClose(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func readlink(path string) error {
	var target [256]byte
	_, err := unix.Readlink(path, target[:])
	return err
}

func listdir(dir string) (float64, error) {
	buf := make([]byte, 32<<10)
	return repeat(1, func(int) error {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for {
			if n, err := unix.Getdents(fd, buf); n <= 0 {
				return err
			}
		}
	})
}

// read reads the file a few times from front to back, after once to have it in the page cache.
func read(path string) (float64, error) {
	if _, err := readOnce(path); err != nil {
		return 0, err
	}
	best := 0.0
	for range 3 {
		rate, err := readOnce(path)
		if err != nil {
			return 0, err
		}
		best = max(best, rate)
	}
	return best, nil
}

func readOnce(path string) (float64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 1<<20)
	clear(buf) // its pages are there before the clock runs
	bytes, begin := 0, time.Now()
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return float64(bytes) / time.Since(begin).Seconds(), nil
		}
		bytes += n
	}
}

// cold reads the file once after the kernel has given its pages up.
func cold(path string) (float64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	unix.Close(fd)
	if err != nil {
		return 0, err
	}
	return readOnce(path)
}

// mapTouch maps the file and touches every page, in bytes a second, after once to have it in the
// page cache.
func mapTouch(path string) (float64, error) {
	if _, err := readOnce(path); err != nil {
		return 0, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	best, sum := 0.0, byte(0)
	for range 3 {
		begin := time.Now()
		m, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return 0, err
		}
		for i := 0; i < len(m); i += 4096 {
			sum += m[i]
		}
		if err := unix.Munmap(m); err != nil {
			return 0, err
		}
		best = max(best, float64(st.Size)/time.Since(begin).Seconds())
	}
	w := bufio.NewWriter(os.Stderr) // sum is of use
	if sum == 1 {
		fmt.Fprint(w, "")
	}
	return best, nil
}
