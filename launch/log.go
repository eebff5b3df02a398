package launch

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/lmittmann/tint"
	"golang.org/x/sys/unix"
)

// LevelFatal is the level of what ends a daemon.
const LevelFatal = slog.Level(12)

// logLevels are the levels of -l: none, fatal, error, warning, info, debug.
var logLevels = []slog.Level{LevelFatal + 1, LevelFatal, slog.LevelError, slog.LevelWarn, slog.LevelInfo, slog.LevelDebug}

// MostLogLevel is the highest -l.
const MostLogLevel = 5

// FewRanks is the size up to which every rank of a job logs what it does. In a larger one, where nobody reads
// that many files, all but rank 0 log from warnings on unless all is asked for (-l 5): a file then tells
// that there is something in it.
const FewRanks = 512

// RankLogLevel is the level at which a rank of a job logs where level is asked for.
func RankLogLevel(level, rank, ranks int) int {
	if rank == 0 || ranks <= FewRanks || level >= MostLogLevel {
		return level
	}
	return min(level, warningLevel)
}

// warningLevel is the -l that has warnings and nothing less.
const warningLevel = 3

// Where a log can go: the values of -t.
const (
	LogFile   = "file"
	LogStdout = "stdout"
	LogBoth   = "both"
)

// NewLog makes the logger of a rank. The file at path is not created before there is something to
// write into it. Close ends it.
func NewLog(level int, to, path string, stdout *os.File) (*slog.Logger, io.Closer) {
	file := &lazyFile{path: path}
	if level <= 0 {
		return slog.New(slog.DiscardHandler), file
	}
	least := logLevels[min(level, MostLogLevel)]
	text := &slog.HandlerOptions{Level: least, ReplaceAttr: fatalLevel}
	var handlers []slog.Handler
	if to != LogStdout {
		handlers = append(handlers, slog.NewTextHandler(file, text))
	}
	switch {
	case to == LogFile:
	case IsTerminal(stdout):
		handlers = append(handlers, tint.NewTextHandler(stdout, &tint.Options{Level: least, ReplaceAttr: fatalLevel}))
	default:
		handlers = append(handlers, slog.NewTextHandler(stdout, text))
	}
	return slog.New(slog.NewMultiHandler(handlers...)), file
}

func fatalLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey && a.Value.Any() == LevelFatal {
		a.Value = slog.StringValue("FATAL")
	}
	return a
}

// IsTerminal tells whether f is one.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// lazyFile is a file that is created by the first write to it, with its directory.
type lazyFile struct {
	path string

	mu     sync.Mutex
	file   *os.File
	failed error // of the creation, which is not tried again
}

func (l *lazyFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil && l.failed == nil {
		l.file, l.failed = create(l.path)
	}
	if l.failed != nil {
		return 0, l.failed
	}
	return l.file.Write(b)
}

// Close ends the file; what is written from then on is lost.
func (l *lazyFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	file := l.file
	l.file, l.failed = nil, os.ErrClosed
	if file == nil {
		return nil
	}
	return file.Close()
}

func create(path string) (*os.File, error) {
	open := func() (*os.File, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	f, err := open()
	if errors.Is(err, os.ErrNotExist) { // rank 0 makes it, but maybe not on this file system
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = open()
		}
	}
	return f, err
}
