package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/ci/nodes"
)

// stopBound is for a process to stop.
const stopBound = 20 * time.Second

func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("signal %v to process %d: %w", sig, pid, err)
	}
	return nil
}

// stop returns when the process has stopped.
func stop(pid int) error {
	if err := signal(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(stopBound); ; time.Sleep(time.Millisecond) {
		switch state(pid) {
		case 'T':
			return nil
		case 0:
			return fmt.Errorf("process %d ended while it was stopped", pid)
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d has not stopped after %v", pid, stopBound)
		}
	}
}

// proceed lets a stopped process go on, unless somebody has ended it meanwhile.
func proceed(pid int) error {
	if err := signal(pid, syscall.SIGCONT); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// state is a process's state as in ps; 0 if it is gone.
func state(pid int) byte {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if i := bytes.LastIndexByte(stat, ')'); i > 0 && i+2 < len(stat) {
		return stat[i+2]
	}
	return 0
}

// slow delays the node's packets, or where that can't be done the daemon itself.
func slow(n Node) (mend func() error, err error) {
	if n.Host != nil {
		err := n.Host.Slow(Delay, 0)
		if err == nil {
			return func() error { return n.Host.Slow(0, 0) }, nil
		}
		if !errors.Is(err, nodes.ErrNoDelay) {
			return nil, err
		}
	}
	if state(n.Daemon) == 0 {
		return nil, fmt.Errorf("process %d is gone", n.Daemon)
	}
	enough, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for signal(n.Daemon, syscall.SIGSTOP) == nil {
			if pause(Delay, enough) {
				_ = proceed(n.Daemon)
				return
			}
			_ = proceed(n.Daemon)
			if pause(Delay/100, enough) {
				return
			}
		}
	}()
	return func() error {
		close(enough)
		<-done
		return nil
	}, nil
}

// pause tells whether enough was closed before d was over.
func pause(d time.Duration, enough <-chan struct{}) bool {
	select {
	case <-enough:
		return true
	case <-time.After(d):
		return false
	}
}
