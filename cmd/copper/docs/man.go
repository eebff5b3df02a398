package docs

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// writePage writes the manual page of a command, with the macros of man(7).
func writePage(out io.Writer, c *command, e Edition) {
	date := ""
	if !e.Date.IsZero() {
		date = e.Date.UTC().Format("2006-01-02")
	}
	summary, rest, _ := strings.Cut(c.node.Help, "\n")
	fmt.Fprintf(out, ".TH %s 1 \"%s\" \"%s\"\n", strings.ToUpper(roff(c.page())), date, roff(c.words[0]+" "+e.Version))
	fmt.Fprintf(out, ".SH NAME\n%s \\- %s\n", roff(c.page()), roff(strings.TrimSuffix(strings.TrimPrefix(summary, "Copper "), ".")))
	fmt.Fprintf(out, ".SH SYNOPSIS\n.B %s\n%s\n", roff(c.String()), synopsis(c))
	fmt.Fprint(out, ".SH DESCRIPTION\n")
	writeText(out, summary+"\n"+rest)
	if detail := c.node.Detail; detail != "" {
		fmt.Fprint(out, ".PP\n")
		writeText(out, detail)
	}
	if len(c.node.Positional) > 0 {
		fmt.Fprint(out, ".SH ARGUMENTS\n")
		for _, p := range c.node.Positional {
			fmt.Fprintf(out, ".TP\n.I %s\n", roff(p.Name))
			writeText(out, p.Help)
		}
	}
	fmt.Fprint(out, ".SH OPTIONS\n")
	for _, f := range c.flags {
		writeFlag(out, f)
	}
	if len(c.children) > 0 {
		fmt.Fprint(out, ".SH COMMANDS\n")
		for _, child := range c.children {
			fmt.Fprintf(out, ".TP\n.BR %s (1)\n", roff(child.page()))
			writeText(out, child.node.Help)
		}
	}
	if len(c.words) > 1 {
		fmt.Fprintf(out, ".SH SEE ALSO\n.BR %s (1)\n", roff(strings.Join(c.words[:len(c.words)-1], "-")))
	}
}

// synopsis is what follows the command's own words.
func synopsis(c *command) string {
	parts := []string{`[\fIoptions\fR]`}
	if len(c.children) > 0 {
		parts = append(parts, `\fIcommand\fR`)
	}
	for _, p := range c.node.Positional {
		part := `\fI` + roff(p.Name) + `\fR`
		if p.IsCumulative() {
			part += " ..."
		}
		if !p.Required {
			part = "[" + part + "]"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func writeFlag(out io.Writer, f *kong.Flag) {
	var written []string
	for _, name := range names(f) {
		written = append(written, `\fB`+roff(name)+`\fR`)
	}
	line := strings.Join(written, ", ")
	if takes(f) {
		line += `=\fI` + roff(f.FormatPlaceHolder()) + `\fR`
	}
	fmt.Fprintf(out, ".TP\n%s\n", line)
	writeText(out, f.Help)
	if len(f.Envs) > 0 {
		fmt.Fprintf(out, "Environment: \\fB%s\\fR.\n", roff(strings.Join(f.Envs, ", ")))
	}
}

// writeText writes running text. An empty line begins a paragraph.
func writeText(out io.Writer, text string) {
	paragraph := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		if line = strings.TrimSpace(line); line == "" {
			paragraph = true
			continue
		}
		if paragraph {
			fmt.Fprint(out, ".PP\n")
			paragraph = false
		}
		line = roff(line)
		if line[0] == '.' || line[0] == '\'' {
			line = `\&` + line // no request
		}
		fmt.Fprintln(out, line)
	}
}

// roff escapes what roff would take for its own, and hyphens, which must stay those that users type.
var roff = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `…`, `...`, `’`, `'`, `~`, `\(ti`, `^`, `\(ha`, "`", `\(ga`).Replace
