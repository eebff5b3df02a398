package main

import (
	"testing"

	"github.com/alecthomas/kong"
)

func TestWhatStartsOnEveryNodeReadsNoOtherSubcommands(t *testing.T) {
	whole, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"serve", "daemon", "probe"} {
		parser, err := kong.New(grammar([]string{name}))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(parser.Model.Children); n > 2 {
			t.Errorf("copper %s makes the grammar of %d subcommands", name, n)
		}
		flags := func(k *kong.Kong) (all []string) {
			for _, command := range k.Model.Children {
				if command.Name == name {
					for _, flag := range command.Flags {
						all = append(all, flag.String())
					}
				}
			}
			return all
		}
		few, many := flags(parser), flags(whole)
		if len(few) == 0 || len(few) != len(many) {
			t.Errorf("copper %s has %d options, %d beside all other subcommands", name, len(few), len(many))
		}
	}
}
