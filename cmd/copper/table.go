package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/launch"
)

// tableCmd prints what the wrappers take, out of the same structures that the command line is parsed by.
type tableCmd struct{}

func (*tableCmd) Run() error { return writeTable(os.Stdout) }

// helpDefault is where an option's help names its default.
var helpDefault = regexp.MustCompile(` \(([^()]*)\)\.$`)

// writeTable writes the options of the wrappers with their defaults as Markdown.
func writeTable(out io.Writer) error {
	var flags [][]*kong.Flag // by site, in launch.Sites' order
	head, rule := "| option | meaning | variable |", "| --- | --- | --- |"
	for i := range launch.Sites {
		parser, err := kong.New(&cli{}, siteDefaults(&launch.Sites[i], "$COPPER_ROOT"))
		if err != nil {
			return err
		}
		for _, command := range parser.Model.Children {
			if command.Name == "launch" {
				flags = append(flags, command.Flags)
			}
		}
		head, rule = head+" "+launch.Sites[i].Name+" |", rule+" --- |"
	}
	fmt.Fprintf(out, "%s\n%s\n", head, rule)
	for i, flag := range flags[0] {
		if flag.Short == 0 || flag.Name == "help" {
			continue
		}
		short := strings.TrimSpace(fmt.Sprintf("-%c %s", flag.Short, flag.PlaceHolder))
		fmt.Fprintf(out, "| `%s`, `--%s` | %s | `%s` |", short, flag.Name,
			helpDefault.ReplaceAllString(flag.Help, "."), strings.Join(flag.Envs, " "))
		for site := range flags {
			f := flags[site][i]
			value := f.Default
			if f.IsBool() {
				value = "off"
			}
			if m := helpDefault.FindStringSubmatch(f.Help); m != nil {
				value = m[1]
			}
			fmt.Fprintf(out, " %s |", value)
		}
		fmt.Fprintln(out)
	}
	return nil
}
