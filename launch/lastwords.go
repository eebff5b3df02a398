package launch

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

const (
	keptWords = 32 << 10 // bytes of a daemon's stderr
	toldLines = 12       // of them, when it has died
)

// lastWords passes on what a daemon says on stderr, and keeps the end of it.
type lastWords struct {
	to io.Writer

	mu   sync.Mutex
	kept []byte
}

// Write never fails: who can't be told must not silence the one who speaks.
func (w *lastWords) Write(b []byte) (int, error) {
	_, _ = w.to.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, b...)
	if surplus := len(w.kept) - keptWords; surplus > 0 {
		w.kept = append(w.kept[:0], w.kept[surplus:]...)
	}
	return len(b), nil
}

// deathCries begin the first line of what the Go runtime says of a process that it ends.
var deathCries = []string{"panic: ", "fatal error: ", "runtime: ", "unexpected fault address", "SIG"}

// lines are what tells best why the daemon died: the first lines of a panic, which goes on for long,
// else the last lines.
func (w *lastWords) lines() []string {
	w.mu.Lock()
	said := string(bytes.TrimSpace(w.kept))
	w.mu.Unlock()
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	for i, line := range lines {
		for _, cry := range deathCries {
			if strings.HasPrefix(line, cry) {
				return lines[i:min(i+toldLines, len(lines))]
			}
		}
	}
	return lines[max(len(lines)-toldLines, 0):]
}
