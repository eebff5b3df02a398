package advise

import (
	"fmt"
	"io"
	"strings"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/route"
)

// Bounds of what is shown; the JSON has everything.
const (
	mostRows  = 15
	mostShown = 8
)

// WriteText prints r for people.
func (r *Report) WriteText(w io.Writer) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "copper advise: %d operations on %d paths, %d of them found nothing; %s read\n\n",
		r.Operations, r.Paths, r.Misses, launch.Bytes(r.Bytes))
	r.table(out)
	section(out, "Worth routing; into the job script, after copper launch:", r.Lines)
	var inputs []string
	for _, in := range r.Inputs {
		if name, ok := strings.CutPrefix(in.Named, "$"); ok {
			inputs = append(inputs, fmt.Sprintf("export %s=%s", name, in.Write))
		} else {
			inputs = append(inputs, fmt.Sprintf("in place of the argument %s:  %s", route.Sh.Word(in.Named), in.Write))
		}
	}
	section(out, "Inputs that are worth routing:", inputs)
	section(out, "Only if that does not suffice (too much at once is a mistake):", r.Further)
	if len(r.Lines)+len(r.Inputs) == 0 {
		fmt.Fprintln(out, r.nothing())
	}
	var bypasses []string
	for _, b := range r.Bypasses {
		bypasses = append(bypasses, b.Text+"\n    -> "+b.Advice)
	}
	section(out, "Bypasses the mount:", bypasses)
	var outputs []string
	for _, o := range r.Outputs {
		outputs = append(outputs, fmt.Sprintf("%s (%s)", o.Dir, files(o.Files)))
	}
	section(out, "Written to, so never route it:", outputs)
	section(out, "Could not be written, because it was named through the mount:", r.Refused)
	_, err := io.WriteString(w, strings.TrimRight(out.String(), "\n")+"\n")
	return err
}

func (r *Report) nothing() string {
	for _, g := range r.Groups {
		if g.Through > 0 {
			return "Nothing more is worth routing; what is, goes through the mount already.\n"
		}
	}
	if !r.Local {
		for _, g := range r.Groups {
			if !g.Gains && g.Prefix != "/usr" && g.Operations >= worthOperations {
				return "Nothing is worth routing: hardly anything was on a file system that nodes share. If this command's files will be\n" +
					"elsewhere in the job, copper advise --local counts the file systems of this node as shared.\n"
			}
		}
	}
	return "Nothing is worth routing.\n"
}

func (r *Report) table(out io.Writer) {
	fmt.Fprintf(out, "  %10s  %10s  %9s\n", "operations", "not there", "read")
	for i, g := range r.Groups {
		if i == mostRows {
			fmt.Fprintf(out, "  … and %d more\n", len(r.Groups)-i)
			break
		}
		where := g.FileSystem
		switch {
		case g.Through == g.Operations:
			where += "; through the mount"
		case g.Through > 0:
			where += "; in part through the mount"
		case !g.Gains:
			where += "; gains nothing"
		case !g.Worth:
			where += "; too little to matter"
		}
		fmt.Fprintf(out, "  %10d  %10d  %9s  %s (%s; %s)\n", g.Operations, g.Misses, launch.Bytes(g.Bytes), g.Prefix, g.what, where)
	}
	fmt.Fprintln(out)
}

func section(out io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	for i, line := range lines {
		if i == mostShown {
			fmt.Fprintf(out, "  … and %d more\n", len(lines)-i)
			break
		}
		fmt.Fprintln(out, "  "+line)
	}
	fmt.Fprintln(out)
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
