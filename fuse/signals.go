package fuse

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// harmless are the signals whose default is not to end the process.
const harmless = signalSet(1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGWINCH-1) |
	1<<(syscall.SIGCONT-1) | 1<<(syscall.SIGSTOP-1) | 1<<(syscall.SIGTSTP-1) |
	1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1))

// signalSet has bit n-1 for signal n, as in /proc/PID/status.
type signalSet uint64

// endsBySignal tells whether a signal is pending that will end the thread as soon as its system
// call returns.
//
// The kernel announces any signal, and Go programs are sent SIGURG all the time, Python ones
// SIGCHLD. To answer EINTR for those would fail a stat, or kill a program with SIGBUS in a page
// fault, where no disk would; so a signal that the program catches waits for the answer like a
// signal that it ignores, and is handled right after.
//
// A caller that can't be seen, in another pid namespace for instance, is taken to live on: its
// request still ends with its answer or its deadline.
func endsBySignal(thread uint32) bool {
	if thread == 0 {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(thread), 10) + "/status")
	if err != nil {
		return false
	}
	return fatalPending(status)
}

func fatalPending(status []byte) bool {
	pending := signalField(status, "SigPnd:") | signalField(status, "ShdPnd:")
	// Once a process is certain to end, every one of its threads has SIGKILL pending, whatever
	// the signal was; dumping core is the exception.
	if pending&(1<<(syscall.SIGKILL-1)) != 0 {
		return true
	}
	handled := signalField(status, "SigBlk:") | signalField(status, "SigIgn:") | signalField(status, "SigCgt:")
	return pending&^(handled|harmless) != 0
}

func signalField(status []byte, name string) signalSet {
	_, rest, found := bytes.Cut(status, []byte("\n"+name))
	if !found {
		return 0
	}
	value, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
	if err != nil {
		return 0
	}
	return signalSet(n)
}
