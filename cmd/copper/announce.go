package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

// inputMark tells the other ranks that a failure is the caller's to mend: only texts reach them.
const inputMark = "bad input: "

// announced is err as the other ranks are to hear of it.
func announced(err error) error {
	if err != nil && launch.ExitCode(err) == launch.ExitBadInput {
		return fmt.Errorf("%s%w", inputMark, err)
	}
	return err
}

// heard is the error of the bootstrap with what the failing ranks announced.
func heard(err error) error {
	var failed *mpiboot.FailedError
	if !errors.As(err, &failed) {
		return err
	}
	input, same := true, true
	told := &mpiboot.FailedError{Size: failed.Size}
	for _, f := range failed.Failed {
		why, marked := strings.CutPrefix(f.Why, inputMark)
		input, same = input && marked, same && f.Why == failed.Failed[0].Why
		f.Why = why
		told.Failed = append(told.Failed, f)
	}
	err = told
	if same && len(told.Failed) == told.Size {
		err = errors.New(told.Failed[0].Why) // the same everywhere: a rank's name would mislead
	}
	if input {
		return &launch.InputError{Err: err}
	}
	return err
}

// inputIfSetup marks what the user has to change before a mount can be made.
func inputIfSetup(err error) error {
	var setup *fuse.SetupError
	if errors.As(err, &setup) {
		return &launch.InputError{Err: err}
	}
	return err
}
