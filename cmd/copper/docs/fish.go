package docs

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// fish is the completion for fish 3.
func fish(all []*command) []byte {
	var b bytes.Buffer
	name := all[0].words[0]
	fmt.Fprintf(&b, "# fish completion for %[1]s, made from its command line.\ncomplete -c %[1]s -f\n", name)
	for _, c := range all {
		within := fishWithin(c)
		for _, child := range c.children {
			fmt.Fprintf(&b, "complete -c %s%s -a %s -d %s\n", name, within, fishQuote(child.node.Name), fishQuote(child.node.Help))
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c %s%s%s\n", name, within, fishFlag(f))
		}
		if len(c.node.Positional) > 0 {
			fmt.Fprintf(&b, "complete -c %s%s -F\n", name, within)
		}
	}
	return b.Bytes()
}

// fishWithin is the condition that c is the command of the line, none for the program itself.
func fishWithin(c *command) string {
	var conditions []string
	for _, word := range c.words[1:] {
		conditions = append(conditions, "__fish_seen_subcommand_from "+word)
	}
	if len(c.children) > 0 {
		var below []string
		for _, child := range c.children {
			below = append(below, child.node.Name)
		}
		conditions = append(conditions, "not __fish_seen_subcommand_from "+strings.Join(below, " "))
	}
	return " -n " + fishQuote(strings.Join(conditions, "; and "))
}

func fishFlag(f *kong.Flag) string {
	s := " -l " + f.Name
	if f.Short != 0 {
		s += " -s " + string(f.Short)
	}
	if takes(f) {
		s += " -x"
		if values := choices(f); values != nil {
			s += " -a " + fishQuote(strings.Join(values, " "))
		} else {
			switch placesOf(f) {
			case directories:
				s += " -a '(__fish_complete_directories)'"
			case anyFile:
				s += " -a '(__fish_complete_path)'"
			}
		}
	}
	return s + " -d " + fishQuote(f.Help)
}

// fishQuote is s as one word of fish.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
