package docs

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// command is the program or one of its subcommands, without what is hidden.
type command struct {
	node     *kong.Node
	words    []string // as they are typed: copper, addressbook, make
	flags    []*kong.Flag
	children []*command
}

// commands is the program and all below it, each before those below it.
func commands(app *kong.Application) []*command {
	var all []*command
	var walk func(n *kong.Node, words []string, above []*kong.Flag) *command
	walk = func(n *kong.Node, words []string, above []*kong.Flag) *command {
		c := &command{node: n, words: append(slices.Clone(words), n.Name), flags: slices.Clone(above)}
		for _, f := range n.Flags {
			if !f.Hidden {
				c.flags = append(c.flags, f)
			}
		}
		all = append(all, c)
		for _, child := range n.Children {
			if !child.Hidden {
				c.children = append(c.children, walk(child, c.words, c.flags))
			}
		}
		return c
	}
	walk(app.Node, nil, nil)
	return all
}

// String is the command as it is typed.
func (c *command) String() string { return strings.Join(c.words, " ") }

// page is the name of its manual page.
func (c *command) page() string { return strings.Join(c.words, "-") }

// takes tells that a value follows a flag.
func takes(f *kong.Flag) bool { return !f.IsBool() && !f.IsCounter() }

// choices are the values that a flag can have, where they are few.
func choices(f *kong.Flag) []string {
	if f.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(f.EnumSlice(), func(s string) bool { return s == "" })
}

// places are what the values of flags and arguments can be in the file system.
type places int

const (
	noPlace places = iota
	directories
	anyFile
)

// placesOf tells it by what the help calls the value.
func placesOf(f *kong.Flag) places {
	switch name := f.FormatPlaceHolder(); {
	case strings.Contains(name, "DIR"):
		return directories
	case strings.Contains(name, "FILE"), strings.Contains(name, "PATH"), strings.Contains(name, "PREFIX"):
		return anyFile
	}
	return noPlace
}

// names are how a flag can be written, the short way first.
func names(f *kong.Flag) []string {
	all := []string{"--" + f.Name}
	if f.Short != 0 {
		all = append([]string{"-" + string(f.Short)}, all...)
	}
	return all
}
