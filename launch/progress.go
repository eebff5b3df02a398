package launch

import (
	"fmt"
	"io"
)

// Progress shows how far a job has come: on a terminal one line that changes, else a line for each
// change.
type Progress struct {
	Out      io.Writer
	Terminal bool
	Ranks    int // expected; 0 while not known

	last string
}

// Show tells the state of the job; nil before there is one.
func (p *Progress) Show(s *State) {
	line := p.line(s)
	if line == p.last || line == "" {
		return
	}
	if p.Terminal {
		fmt.Fprintf(p.Out, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.Out, line)
	}
	p.last = line
}

// End leaves the line.
func (p *Progress) End() {
	if p.Terminal && p.last != "" {
		fmt.Fprint(p.Out, "\r\x1b[K")
	}
	p.last = ""
}

func (p *Progress) line(s *State) string {
	ranks := p.Ranks
	if s != nil && s.Phase != Starting {
		ranks = len(s.Ranks)
	}
	of := func(done int) string { return fmt.Sprintf("%d of %s ready", done, count(ranks, "mount")) }
	switch {
	case s == nil && ranks == 0:
		return "waiting for a job to start"
	case s == nil:
		return "starting " + count(ranks, "daemon")
	}
	switch s.Phase {
	case Starting:
		if ranks == 0 {
			return "the first daemon runs and waits for the others"
		}
		return "the first of " + count(ranks, "daemon") + " runs"
	case Connected:
		return count(ranks, "daemon") + " connected, " + of(0)
	case Mounted:
		return of(1)
	case Ready:
		return of(ranks)
	}
	return ""
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
