package docs

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// zsh is the completion for zsh: a function for each command, which calls those of the commands below it.
func zsh(all []*command) []byte {
	var b bytes.Buffer
	name := all[0].words[0]
	fmt.Fprintf(&b, "#compdef %[1]s %[1]s-mpich\n# zsh completion for %[1]s, made from its command line.\n", name)
	for _, c := range all {
		fmt.Fprintf(&b, "\n_%s() {\n", zshFunction(c))
		if len(c.children) > 0 {
			b.WriteString("  local curcontext=$curcontext state line\n")
		}
		b.WriteString("  _arguments -s")
		if len(c.children) > 0 {
			b.WriteString(" -C")
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, " \\\n    %s", zshFlag(f))
		}
		for _, p := range c.node.Positional {
			message := zshText(p.Name)
			switch {
			case p.IsCumulative():
				fmt.Fprintf(&b, " \\\n    %s", quote("*:"+message+":_files"))
			case p.Required:
				fmt.Fprintf(&b, " \\\n    %s", quote(":"+message+":_files"))
			default:
				fmt.Fprintf(&b, " \\\n    %s", quote("::"+message+":_files"))
			}
		}
		if len(c.children) > 0 {
			b.WriteString(" \\\n    ': :->command' '*:: :->rest'\n  case $state in\n    command)\n      local -a commands=(\n")
			for _, child := range c.children {
				fmt.Fprintf(&b, "        %s\n", quote(child.node.Name+":"+child.node.Help))
			}
			b.WriteString("      )\n      _describe command commands ;;\n    rest)\n      case $line[1] in\n")
			for _, child := range c.children {
				fmt.Fprintf(&b, "        %s) _%s ;;\n", child.node.Name, zshFunction(child))
			}
			b.WriteString("      esac ;;\n  esac")
		}
		b.WriteString("\n}\n")
	}
	fmt.Fprintf(&b, "\n_%s \"$@\"\n", name)
	return b.Bytes()
}

func zshFunction(c *command) string { return strings.Join(c.words, "_") }

// zshFlag is the flag as _arguments takes it: '(-d --dir)'{-d,--dir=}'[help]:DIR:_directories'.
func zshFlag(f *kong.Flag) string {
	about, short, long := "["+zshText(f.Help)+"]", "", "--"+f.Name
	if f.Short != 0 {
		short = "-" + string(f.Short)
	}
	if takes(f) {
		long += "="
		if short != "" {
			short += "+"
		}
		action := " "
		if values := choices(f); values != nil {
			action = "(" + strings.Join(values, " ") + ")"
		} else {
			switch placesOf(f) {
			case directories:
				action = "_directories"
			case anyFile:
				action = "_files"
			}
		}
		about += ":" + zshText(f.FormatPlaceHolder()) + ":" + action
	}
	if short == "" {
		return quote(long + about)
	}
	return fmt.Sprintf("%s{%s,%s}%s", quote("("+strings.Join(names(f), " ")+")"), short, long, quote(about))
}

// zshText escapes what ends a part of a specification.
var zshText = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`, "\n", " ").Replace
