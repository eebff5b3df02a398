package launch

import (
	"errors"
	"fmt"
)

// The exit codes of copper.
const (
	ExitOK       = 0
	ExitFailed   = 1
	ExitBadInput = 2 // nothing was started

	exitSignal = 128 // and the number of the signal that interrupted it, as shells have it: 130 for Ctrl-C
)

// InputError is a failure that is the caller's to mend: a bad option, a mount point in use.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap lets errors.Is see the cause.
func (e *InputError) Unwrap() error { return e.Err }

// BadInput makes an [InputError]; the arguments are those of fmt.Errorf.
func BadInput(format string, args ...any) error {
	return &InputError{fmt.Errorf(format, args...)}
}

// ExitCode is the exit code for the error with which a subcommand ended.
func ExitCode(err error) int {
	var input *InputError
	var interrupted *interrupted
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &interrupted):
		return exitSignal + int(interrupted.signal)
	case errors.As(err, &input):
		return ExitBadInput
	}
	return ExitFailed
}
