package fuse

import "sync/atomic"

// operation indexes the request counters.
type operation int

const (
	opLookup operation = iota
	opForget
	opGetattr
	opReadlink
	opOpen
	opRead
	opStatfs
	opOpendir
	opReaddir
	opIoctl
	opFlush
	opFsync
	opAccess
	opGetxattr
	opListxattr
	opLseek
	opMutation
	opInterrupt
	operations
)

var operationNames = [operations]string{
	opLookup:    "LOOKUP",
	opForget:    "FORGET",
	opGetattr:   "GETATTR",
	opReadlink:  "READLINK",
	opOpen:      "OPEN",
	opRead:      "READ",
	opStatfs:    "STATFS",
	opOpendir:   "OPENDIR",
	opReaddir:   "READDIR",
	opIoctl:     "IOCTL",
	opFlush:     "FLUSH",
	opFsync:     "FSYNC",
	opAccess:    "ACCESS",
	opGetxattr:  "GETXATTR",
	opListxattr: "LISTXATTR",
	opLseek:     "LSEEK",
	opMutation:  "MUTATION",
	opInterrupt: "INTERRUPT",
}

// Stats is a reading of a mount's counters.
type Stats struct {
	// Requests that the kernel sent since the mount, by FUSE opcode; opcodes that never came are
	// left out. All mutations, which the kernel normally refuses by itself, are MUTATION; FORGET
	// counts nodes; INTERRUPT counts the requests that were waiting for the Source when a signal
	// reached their caller.
	Requests map[string]uint64 `json:"requests"`
	// ReadBytes is what READ requests were answered with, in bytes.
	ReadBytes uint64 `json:"read_bytes"`
	// PushedBytes is what was put into the page cache before the kernel asked, in bytes.
	PushedBytes uint64 `json:"pushed_bytes"`
	// Nodes is the number of nodes that the kernel knows now.
	Nodes int `json:"nodes"`
}

type counters struct {
	requests    [operations]atomic.Uint64
	readBytes   atomic.Uint64
	pushedBytes atomic.Uint64
}

func (c *counters) count(op operation) { c.requests[op].Add(1) }

func (c *counters) read() Stats {
	s := Stats{Requests: make(map[string]uint64), ReadBytes: c.readBytes.Load(), PushedBytes: c.pushedBytes.Load()}
	for op := range operations {
		if n := c.requests[op].Load(); n > 0 {
			s.Requests[operationNames[op]] = n
		}
	}
	return s
}
