package store

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Error is a failed question, with the errno that the application gets.
type Error struct {
	Op    string // lstat, readdir, readlink, read
	Path  string
	Errno syscall.Errno
	// Expires ends the time for which an absent name may be remembered; zero: not at all.
	Expires time.Time
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Op, e.Path, e.Errno.Error())
}

// Unwrap lets errors.Is see the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Absent tells whether e says that the name does not exist. No other failure may ever be
// remembered as absence.
func (e *Error) Absent() bool {
	return e.Errno == syscall.ENOENT || e.Errno == syscall.ENOTDIR
}

// ErrBusy says that no memory came free within the bound. It concerns the one who answered, not the
// file: ask again, or ask somebody else. It never reaches an application.
var ErrBusy = errors.New("no memory came free in time")

// Errno is the errno that an application gets for err: the PFS's own where there is one, EINTR
// where the caller left, ETIMEDOUT where its deadline passed, else EIO. 0 for nil.
func Errno(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	}
	return syscall.EIO
}
