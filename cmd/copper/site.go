package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/launch"
)

// siteOptions are those of copper launch for the sites' wrappers.
type siteOptions struct {
	Site  string `name:"site" env:"COPPER_SITE" placeholder:"SITE" help:"Use the defaults of a site: aurora, frontier or local."`
	Sleep int    `name:"sleep" short:"s" env:"COPPER_SLEEP" default:"0" placeholder:"S" help:"Seconds to wait when every mount answers; 0 suffices (${default})."`
}

// Validate is called by kong.
func (o *siteOptions) Validate() error {
	if o.Site != "" && launch.FindSite(o.Site) == nil {
		return fmt.Errorf("--site=%s: want %s", o.Site, strings.Join(launch.SiteNames(), ", "))
	}
	if o.Sleep < 0 {
		return fmt.Errorf("--sleep=%d: want 0 or more", o.Sleep)
	}
	return nil
}

func (o *siteOptions) sleep() { time.Sleep(time.Duration(o.Sleep) * time.Second) }

// namedSite is the site that a command line or else the environment names, nil if there is none. It is
// needed before the command line can be parsed: its defaults are to be those of the parser.
func namedSite(args []string) *launch.Site {
	name := os.Getenv("COPPER_SITE")
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--site="); ok {
			name = value
		} else if arg == "--site" && i+1 < len(args) {
			name = args[i+1]
		}
	}
	return launch.FindSite(name)
}

// installation is the directory that this binary is in the bin of, or what the site's wrappers take for it.
func installation() string {
	root := os.Getenv("COPPER_ROOT")
	if path, err := os.Executable(); root == "" && err == nil {
		root = filepath.Dir(filepath.Dir(path))
	}
	return root
}

// siteDefaults gives copper launch the defaults of a site with the installation at root; variables and the command line still override them.
func siteDefaults(site *launch.Site, root string) kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		if site == nil {
			return nil
		}
		for _, command := range k.Model.Children {
			if command.Name != "launch" {
				continue
			}
			for _, flag := range command.Flags {
				value, differs := site.Defaults[flag.Name]
				if flag.Name == "address-book" {
					value = site.Book(root)
					differs = value != ""
				}
				if differs {
					flag.Default, flag.HasDefault = value, true
				}
			}
		}
		return nil
	})
}

// forgetMissingBook leaves no address book where the site's own is missing.
func (c *launchCmd) forgetMissingBook() {
	if site := launch.FindSite(c.Site); site != nil && c.Book == site.Book(installation()) {
		if _, err := os.Stat(c.Book); os.IsNotExist(err) {
			c.Book = ""
		}
	}
}

// preview looks at what is the same for all ranks. It says on out what won't be as it was asked for, and where
// the application's cores are not free for it. here is this host's name, or "" if the step has no rank here. A book
// that is used must have all hosts, nil for this one alone.
func (c *launchCmd) preview(out io.Writer, here string, hosts []string) error {
	warnings, err := c.addressing().Preview(here)
	for _, line := range append(slices.Clone(warnings), c.Cores.Overlaps(os.Getenv)...) {
		fmt.Fprintln(out, "copper: warning:", line)
	}
	if err != nil || hosts == nil || c.Addresses != launch.Facility || c.Book == "" || len(warnings) > 0 { // it may be replaced
		return err
	}
	book, _, err := launch.ReadBook(c.Book)
	if err == nil {
		_, err = book.Filter(hosts)
	}
	return err
}
