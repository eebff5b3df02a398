// Command ranktest is one rank of mpiboot's tests under real launchers:
//
//	ranktest [-bound D] MODE DIR
//
// It goes through the bootstrap as MODE says and leaves what it saw in DIR/<pid>.json.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"github.com/copper-hpc/copper/mpiboot"
	"golang.org/x/sys/unix"
)

// Result is what one rank saw.
type Result struct {
	Rank, Size int
	Roster     *mpiboot.Roster
	SecretHash string // the secret itself is never written
	Err        string
	MPI        bool     // MPI was initialized
	Problems   []string // with signal actions and file descriptors
	Pauses     int64    // how often Exchange gave its core up to wait
}

func main() {
	bound := flag.Duration("bound", 0, "give up after this long")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: ranktest [-bound D] MODE DIR")
		os.Exit(2)
	}
	mode, dir := flag.Arg(0), flag.Arg(1)
	// As a server does: from now on SIGTERM does not end the process by itself.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)

	var res Result
	err := res.run(mode, dir, *bound)
	if err != nil {
		res.Err = err.Error()
		fmt.Fprintln(os.Stderr, "ranktest:", err)
	}
	res.MPI = initialized()
	out, marshalErr := json.Marshal(res)
	if marshalErr == nil {
		marshalErr = leave(dir, strconv.Itoa(os.Getpid())+".json", out)
	}
	var launch *mpiboot.LaunchError
	if res.Size > 1 && err != nil && marshalErr == nil {
		// The first rank that exits with an error has the launcher end the others.
		marshalErr = await(func() bool {
			results, _ := filepath.Glob(filepath.Join(dir, "*.json"))
			return len(results) >= res.Size
		})
	}
	switch {
	case marshalErr != nil:
		fmt.Fprintln(os.Stderr, "ranktest:", marshalErr)
		os.Exit(1)
	case errors.As(err, &launch):
		os.Exit(2)
	case err != nil:
		os.Exit(1)
	}
}

func (res *Result) run(mode, dir string, bound time.Duration) error {
	before := actions()
	boot, err := mpiboot.Start(mpiboot.Bound(bound))
	if err != nil {
		return err
	}
	res.Rank, res.Size = boot.Rank(), boot.Size()
	res.inspect("Start", before)
	card := mpiboot.Card{Version: 1, Mount: fmt.Sprintf("/tmp/copper-%d", res.Rank)}
	for i := range res.Rank * 7 {
		card.Endpoints = append(card.Endpoints, fmt.Sprintf("tcp://10.%d.0.%d:4711", res.Rank, i))
	}
	last := res.Rank == res.Size-1
	switch {
	case mode == "refuse" && last:
		return boot.Ready(errors.New("port 4711 is in use"))
	case mode == "stuck" && last:
		time.Sleep(time.Minute) // the others end the step long before
		return errors.New("nobody ended the step")
	case mode == "stuck" && res.Rank == 0:
		if err := leave(dir, "waiting", []byte(strconv.Itoa(os.Getpid()))); err != nil {
			return err
		}
	case mode == "late" && last:
		time.Sleep(time.Second) // that the others wait
	case mode == "abort" && last:
		boot.Abort(7)
	}
	paused := pauses()
	res.Roster, err = boot.Exchange(card)
	res.Pauses = pauses() - paused
	if err != nil {
		return err
	}
	hash := sha256.Sum256(res.Roster.Secret[:])
	res.SecretHash = hex.EncodeToString(hash[:])
	res.inspect("Exchange", before)

	var failed error
	if mode == "fail" && last {
		failed = errors.New("fusermount3: not found")
	}
	err = boot.Ready(failed)
	res.inspect("Ready", before)
	res.takeSignal()
	if mode == "die" && err == nil {
		if last {
			if err := leave(dir, "dying", []byte(strconv.Itoa(os.Getpid()))); err != nil {
				return err
			}
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return await(func() bool {
			_, err := os.Stat(filepath.Join(dir, "go"))
			return err == nil
		})
	}
	return err
}

// pauses is how often this thread has given its core up to wait for something. What yields in a loop does not.
func pauses() int64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &r); err != nil {
		panic(err)
	}
	return r.Nvcsw
}

// inspect notes what the call into MPI before it has disturbed.
func (res *Result) inspect(after string, before []action) {
	for i, now := range actions() {
		if now.handler != before[i].handler || now.flags != before[i].flags {
			res.Problems = append(res.Problems, fmt.Sprintf("after %s: action of %s changed", after, unix.SignalName(syscall.Signal(i+1))))
		}
	}
	if !initialized() {
		return // descriptors that come from elsewhere are left as they are
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		res.Problems = append(res.Problems, err.Error())
	}
	for _, e := range fds {
		fd, _ := strconv.Atoi(e.Name())
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if fd > 2 && err == nil && flags&unix.FD_CLOEXEC == 0 {
			res.Problems = append(res.Problems, fmt.Sprintf("after %s: descriptor %d stays open over exec", after, fd))
		}
	}
}

// takeSignal gets SIGUSR1 through the Go runtime: with a handler of MPI's it would not arrive.
func (res *Result) takeSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	defer signal.Stop(c)
	err := syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	if err != nil {
		res.Problems = append(res.Problems, err.Error())
		return
	}
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		res.Problems = append(res.Problems, "SIGUSR1 did not arrive")
	}
}

// action is the kernel's struct sigaction.
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// actions reads the actions of all signals, from 1.
func actions() []action {
	all := make([]action, 64)
	for i := range all {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(i+1), 0,
			uintptr(unsafe.Pointer(&all[i])), unsafe.Sizeof(all[i].mask), 0, 0)
		if errno != 0 {
			panic(errno)
		}
	}
	return all
}

// leave writes a file that others see complete or not at all.
func leave(dir, name string, content []byte) error {
	part := filepath.Join(dir, name+".part"+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(part, bytes.TrimSpace(content), 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(dir, name))
}

// await polls for what other processes of the test do.
func await(done func() bool) error {
	for start := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			return errors.New("waited in vain for a minute")
		}
	}
	return nil
}
