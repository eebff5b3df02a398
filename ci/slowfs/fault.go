package slowfs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Fault is something that goes wrong with some operations. Where several faults meet in one
// operation it is stalled first, then delayed by the sum of the delays, then fails with the errno
// that was set first; where none has an errno it goes on as usual.
//
// In JSON: {"prefix": "/lib", "op": "read", "mount": "/tmp/n1", "from": 4096, "errno": "EIO",
// "stall": true, "delay": "100ms", "times": 1}, each field optional.
type Fault struct {
	// Prefix is the path within the view that the fault strikes, with all that is below it.
	// Empty: everything.
	Prefix string
	// Op is the operation that it strikes. Empty: all.
	Op Op
	// Mount is the mount point that it strikes, as in Counts. Empty: all.
	Mount string
	// From is where a read or readdir must reach, or begin behind, for the fault to strike it: the
	// byte, or the number of the entry. 0: wherever. Other operations are not struck if it is set.
	From int64
	// Errno is what the operation fails with. 0: it does not fail.
	Errno syscall.Errno
	// Stall holds the operation until ClearFaults; Close ends it with EIO, the caller's signal
	// with EINTR.
	Stall bool
	// Delay is added to the operation's time.
	Delay time.Duration
	// Times is how many operations it strikes. 0: all until ClearFaults.
	Times int
}

type faultJSON struct {
	Prefix string `json:"prefix,omitempty"`
	Op     Op     `json:"op,omitempty"`
	Mount  string `json:"mount,omitempty"`
	From   int64  `json:"from,omitempty"`
	Errno  string `json:"errno,omitempty"`
	Stall  bool   `json:"stall,omitempty"`
	Delay  string `json:"delay,omitempty"`
	Times  int    `json:"times,omitempty"`
}

// MarshalJSON writes the form that Fault documents.
func (f Fault) MarshalJSON() ([]byte, error) {
	j := faultJSON{Prefix: f.Prefix, Op: f.Op, Mount: f.Mount, From: f.From, Stall: f.Stall, Times: f.Times}
	if f.Errno != 0 {
		j.Errno = unix.ErrnoName(f.Errno)
	}
	if f.Delay != 0 {
		j.Delay = f.Delay.String()
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads the form that Fault documents; a field that it does not name is an error.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var j faultJSON
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil {
		return err
	}
	*f = Fault{Prefix: j.Prefix, Op: j.Op, Mount: j.Mount, From: j.From, Stall: j.Stall, Times: j.Times}
	var err error
	if j.Errno != "" {
		if f.Errno, err = parseErrno(j.Errno); err != nil {
			return err
		}
	}
	if j.Delay != "" {
		if f.Delay, err = time.ParseDuration(j.Delay); err != nil {
			return err
		}
	}
	return nil
}

func parseErrno(name string) (syscall.Errno, error) {
	const last = 133 // EHWPOISON, the highest errno of Linux
	for errno := syscall.Errno(1); errno <= last; errno++ {
		if unix.ErrnoName(errno) == name {
			return errno, nil
		}
	}
	return 0, fmt.Errorf("unknown errno %q", name)
}

func (f Fault) validate(mounts []string) error {
	if f.Op != "" {
		if _, err := ParseOp(string(f.Op)); err != nil {
			return err
		}
	}
	if f.Prefix != "" {
		if err := checkPath(f.Prefix); err != nil {
			return err
		}
	}
	switch {
	case f.Mount != "" && !slices.Contains(mounts, f.Mount):
		return fmt.Errorf("mount %q: not one of %q", f.Mount, mounts)
	case f.Delay < 0 || f.Times < 0 || f.From < 0:
		return fmt.Errorf("delay %v, times %d, from %d: must not be negative", f.Delay, f.Times, f.From)
	case f.Errno == 0 && !f.Stall && f.Delay == 0:
		return errors.New("a fault needs an errno, a stall or a delay")
	}
	return nil
}

// strikes tells whether f strikes an operation that ends at offset end; 0 where there is none.
func (f Fault) strikes(mount string, op Op, path string, end int64) bool {
	return (f.Op == "" || f.Op == op) &&
		(f.Mount == "" || f.Mount == mount) &&
		(f.Prefix == "" || below(path, f.Prefix)) &&
		(f.From == 0 || end > f.From)
}

// faults are those in force.
type faults struct {
	mu      sync.Mutex
	rules   []*Fault // Times is counted down in place
	cleared chan struct{}
	stalled int
}

func newFaults() *faults { return &faults{cleared: make(chan struct{})} }

func (s *faults) set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &f)
}

func (s *faults) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
	close(s.cleared)
	s.cleared = make(chan struct{})
}

func (s *faults) stalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stalled
}

// strike combines the faults that strike this operation, and waits out the stall if there is one.
// It returns the delay and the errno that the caller has to apply. A cleared stall leaves both in
// force, because they were decided when the operation arrived.
func (s *faults) strike(mount string, op Op, path string, end int64, cancel, closing <-chan struct{}) (time.Duration, syscall.Errno) {
	var hit Fault
	s.mu.Lock()
	kept := s.rules[:0]
	for _, rule := range s.rules {
		if rule.strikes(mount, op, path, end) {
			hit.Stall = hit.Stall || rule.Stall
			hit.Delay += rule.Delay
			if hit.Errno == 0 {
				hit.Errno = rule.Errno
			}
			if rule.Times--; rule.Times == 0 {
				continue
			}
			rule.Times = max(rule.Times, 0)
		}
		kept = append(kept, rule)
	}
	s.rules = kept
	if !hit.Stall {
		s.mu.Unlock()
		return hit.Delay, hit.Errno
	}
	s.stalled++
	cleared := s.cleared
	s.mu.Unlock()

	defer func() {
		s.mu.Lock()
		s.stalled--
		s.mu.Unlock()
	}()
	select {
	case <-cleared:
		return hit.Delay, hit.Errno
	case <-cancel:
		return 0, syscall.EINTR
	case <-closing:
		return 0, syscall.EIO
	}
}
