package launch

import (
	"fmt"
	"io"
	"strings"
)

// colours are those of the terminal.
var colours = map[Level]string{Fine: "\x1b[32m", Warning: "\x1b[33m", Problem: "\x1b[31m"}

// WriteText prints d for people: a line for each finding, and one for what to do about it.
func (d Diagnosis) WriteText(w io.Writer, colour bool) error {
	out := &strings.Builder{}
	widest := 0
	for _, f := range d.Findings {
		widest = max(widest, len(f.Check))
	}
	for _, f := range d.Findings {
		level := fmt.Sprintf("%-7s", f.Level)
		if colour {
			level = colours[f.Level] + level + "\x1b[0m"
		}
		fmt.Fprintf(out, "%s  %-*s  %s\n", level, widest, f.Check, oneLine(f.Found))
		if f.Advice != "" {
			fmt.Fprintf(out, "%*s-> %s\n", len("problem")+widest+4, "", oneLine(f.Advice))
		}
	}
	fmt.Fprintf(out, "\n%s: ", d.Host)
	switch {
	case d.Problems > 0 && d.Warnings > 0:
		fmt.Fprintf(out, "%s, %s\n", count(d.Problems, "problem"), count(d.Warnings, "warning"))
	case d.Problems > 0:
		fmt.Fprintln(out, count(d.Problems, "problem"))
	case d.Warnings > 0:
		fmt.Fprintf(out, "no problem, %s\n", count(d.Warnings, "warning"))
	default:
		fmt.Fprintln(out, "all is well")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
