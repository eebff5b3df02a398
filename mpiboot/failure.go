package mpiboot

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	maxFailureText = 1024 // bytes of one rank's error text; the rest is cut off
	maxFailures    = 10   // named in FailedError's text
)

// Failure is why one rank could not go on.
type Failure struct {
	Rank int
	Host string
	Why  string // one line
}

// FailedError says which ranks could not go on. Every rank gets the same one.
type FailedError struct {
	Size   int       // of the step
	Failed []Failure // by rank, at least one
}

// Error names the first ten failures and counts the others.
func (e *FailedError) Error() string {
	var b strings.Builder
	if len(e.Failed) > 1 {
		fmt.Fprintf(&b, "%d of %d ranks failed: ", len(e.Failed), e.Size)
	}
	for i, f := range e.Failed {
		if i == maxFailures {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s (rank %d): %s", f.Host, f.Rank, f.Why)
	}
	return b.String()
}

// failureRecord is what a rank sends that cannot go on.
func failureRecord(host string, err error) []byte {
	host = host[:min(len(host), maxHost)]
	rec := append([]byte{recordFailure, byte(len(host))}, host...)
	return append(rec, oneLine(err.Error())...)
}

// failures collects the failure records among records, nil if there is none.
func failures(records [][]byte) error {
	e := &FailedError{Size: len(records)}
	for rank, rec := range records {
		if len(rec) == 0 || rec[0] != recordFailure {
			continue
		}
		f := Failure{Rank: rank, Host: "unknown host", Why: "unknown reason"}
		if rec = rec[1:]; len(rec) > 0 && len(rec) > int(rec[0]) {
			n := 1 + int(rec[0])
			f.Host, f.Why = string(rec[1:n]), string(rec[n:])
		}
		e.Failed = append(e.Failed, f)
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

// oneLine makes an error's text fit for a list of errors: one line, of bounded length.
func oneLine(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
	if len(text) > maxFailureText {
		text = strings.ToValidUTF8(text[:maxFailureText], "") + "…"
	}
	if text == "" {
		text = "error without a text"
	}
	return text
}
