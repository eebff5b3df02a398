package simulate

import (
	"errors"
	"flag"
	"io"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A Bubble runs a function in a time of its own, which passes only while every goroutine that the
// function started is waiting. It returns when all of them have ended.
type Bubble func(f func())

// NewBubble makes a Bubble for an ordinary program.
//
// The virtual time is that of testing/synctest, which wants a [testing.T]. It gets that of a test
// whose run this begins and which never ends, so that nothing of it is seen: no flag, as the
// program doesn't look at [flag.CommandLine], and no word on stdout.
func NewBubble() Bubble {
	return func(f func()) {
		done := make(chan struct{})
		startTest()
		bubbles <- func(t *testing.T) {
			defer close(done)
			synctest.Test(t, func(*testing.T) { f() })
		}
		<-done
	}
}

// InTest makes a Bubble of a test's own.
func InTest(t *testing.T) Bubble {
	return func(f func()) { synctest.Test(t, func(*testing.T) { f() }) }
}

var (
	bubbles   = make(chan func(*testing.T))
	startTest = sync.OnceFunc(func() {
		standard := flag.CommandLine
		flag.CommandLine = flag.NewFlagSet("", flag.ContinueOnError)
		run := testing.MainStart(noDeps{}, []testing.InternalTest{{Name: "simulate", F: func(t *testing.T) {
			for f := range bubbles {
				f(t)
			}
		}}}, nil, nil, nil)
		_ = flag.CommandLine.Parse(nil) // nothing can't be malformed
		flag.CommandLine = standard
		_ = flag.CommandLine.Parse(nil) // Run wants it parsed, and would parse the program's arguments
		go run.Run()
	})
)

// noDeps is what the go command gives to the main function of a test binary, without the profiles,
// logs, coverage and fuzzing that nobody asks for here.
type noDeps struct{}

var errNotHere = errors.New("not in an ordinary program")

func (noDeps) ImportPath() string                          { return "" }
func (noDeps) ModulePath() string                          { return "" }
func (noDeps) MatchString(string, string) (bool, error)    { return true, nil }
func (noDeps) SetPanicOnExit0(bool)                        {}
func (noDeps) StartCPUProfile(io.Writer) error             { return errNotHere }
func (noDeps) StopCPUProfile()                             {}
func (noDeps) StartTestLog(io.Writer)                      {}
func (noDeps) StopTestLog() error                          { return nil }
func (noDeps) WriteProfileTo(string, io.Writer, int) error { return errNotHere }
func (noDeps) RunFuzzWorker(func(corpusEntry) error) error { return errNotHere }
func (noDeps) CheckCorpus([]any, []reflect.Type) error     { return errNotHere }
func (noDeps) ResetCoverage()                              {}
func (noDeps) SnapshotCoverage()                           {}

func (noDeps) ReadCorpus(string, []reflect.Type) ([]corpusEntry, error) { return nil, errNotHere }

func (noDeps) CoordinateFuzzing(time.Duration, int64, time.Duration, int64, int, []corpusEntry,
	[]reflect.Type, string, string) error {
	return errNotHere
}

func (noDeps) InitRuntimeCoverage() (mode string, tearDown func(string, string) (string, error), snapcov func() float64) {
	return "", nil, nil
}

// corpusEntry is the type of that name in package testing, which isn't exported.
type corpusEntry = struct {
	Parent     string
	Path       string
	Data       []byte
	Values     []any
	Generation int
	IsSeed     bool
}
