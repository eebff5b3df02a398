package slowfs

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server is the simulated PFS. All its methods are safe for concurrent use.
type Server struct {
	options Options // resolved
	clock   clock

	metadata  budget
	bandwidth budget
	faults    *faults
	counter   *counter
	mounts    []*mount

	// serving is set when Start is done. What Start itself asks of the mounts before is free,
	// not counted, and not kept by the kernels.
	serving  atomic.Bool
	closing  chan struct{}
	close    sync.Once
	closeErr error
}

// Start mounts the backing directory on every mount point. When it returns, all mounts answer.
// When it fails, nothing is left mounted. The caller must Close the Server.
func Start(options Options) (*Server, error) {
	options, err := options.resolve()
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:   options,
		clock:     options.clock,
		metadata:  budget{rate: options.MetadataRate},
		bandwidth: budget{rate: options.Bandwidth},
		faults:    newFaults(),
		counter:   newCounter(options.Mounts),
		closing:   make(chan struct{}),
	}
	var root syscall.Stat_t
	if errno := lstat(options.Backing, &root); errno != 0 {
		return nil, fmt.Errorf("backing directory %q: %w", options.Backing, errno)
	}
	for i, dir := range options.Mounts {
		m, err := s.mount(i, dir, identify(&root))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mount on %q: %w", dir, err), s.Close())
		}
		s.mounts = append(s.mounts, m)
		options.Log.Info("mounted", "dir", dir, "backing", options.Backing)
	}
	s.serving.Store(true)
	return s, nil
}

// Counts is what happened since Start or the last Reset, without Paths.
func (s *Server) Counts() Counts { return s.count(false) }

// CountsWithPaths is Counts with Paths filled in.
func (s *Server) CountsWithPaths() Counts { return s.count(true) }

func (s *Server) count(withPaths bool) Counts {
	counts := s.counter.counts(withPaths)
	counts.Stalled = s.faults.stalls()
	return counts
}

// Reset sets all counts to zero. The kernels' caches stay as they are; see Changed.
func (s *Server) Reset() { s.counter.reset() }

// SetFault adds a fault to those in force. The error says what is wrong with f.
func (s *Server) SetFault(f Fault) error {
	if err := f.validate(s.options.Mounts); err != nil {
		return err
	}
	s.faults.set(f)
	return nil
}

// ClearFaults ends all faults and lets stalled operations go on.
func (s *Server) ClearFaults() { s.faults.clear() }

// admit lets an operation in: it waits out stalls, delays, the latency and, for metadata, its turn.
// It returns the errno to answer with instead of doing the work, or 0.
func (s *Server) admit(mount string, op Op, path string, end int64, cancel <-chan struct{}) syscall.Errno {
	if !s.serving.Load() {
		return 0
	}
	select {
	case <-s.closing:
		return syscall.EIO
	default:
	}
	delay, errno := s.faults.strike(mount, op, path, end, cancel, s.closing)
	if errno == syscall.EINTR {
		return errno
	}
	delay += s.options.Latency
	if op != OpRead {
		delay += s.metadata.take(s.clock.Now(), 1)
	}
	if closed := s.wait(delay); closed != 0 {
		return closed
	}
	return errno
}

// tick rounds the times of st down to those that are shown.
func (s *Server) tick(st *syscall.Stat_t) {
	tick := int64(s.options.Tick)
	if tick == 0 {
		return
	}
	for _, t := range []*syscall.Timespec{&st.Atim, &st.Mtim, &st.Ctim} {
		*t = syscall.NsecToTimespec(t.Nano() / tick * tick)
	}
}

// payBytes waits for the turn of n bytes of file data.
func (s *Server) payBytes(n int64) syscall.Errno {
	return s.wait(s.bandwidth.take(s.clock.Now(), n))
}

func (s *Server) wait(d time.Duration) syscall.Errno {
	if d > 0 && !s.clock.wait(d, s.closing) {
		return syscall.EIO
	}
	return 0
}

// Close unmounts everything, also what is in use, and returns within some seconds. Operations in
// progress fail, stalled ones too, and so does from then on every process that still holds
// something open. The error names mounts that could not be taken out of the tree. Further calls
// return the same error.
func (s *Server) Close() error {
	s.close.Do(func() {
		close(s.closing)
		errs := make([]error, len(s.mounts))
		var wg sync.WaitGroup
		for i, m := range s.mounts {
			wg.Go(func() { errs[i] = m.unmount() })
		}
		wg.Wait()
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}
