package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/launch"
)

// TestSiteDefaults: a site's defaults give way to variables, and those to the command line.
func TestSiteDefaults(t *testing.T) {
	parse := func(args ...string) launchCmd {
		t.Helper()
		var c cli
		args = append([]string{"launch"}, args...)
		parser, err := kong.New(&c, siteDefaults(namedSite(args), "/opt/copper"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(err)
		}
		return c.Launch
	}
	everywhere := parse()
	aurora, frontier := parse("--site", "aurora"), parse("--site=frontier")
	for name, c := range map[string]struct{ got, want string }{
		"Aurora's cores":        {aurora.Cores.String(), "48-51"},
		"Aurora's network":      {aurora.Net, "cxi"},
		"Aurora's addresses":    {aurora.Addresses, launch.Facility},
		"Aurora's book":         {aurora.Book, "/opt/copper/share/copper/alcf_aurora_copper_addressbook.txt"},
		"Frontier's cores":      {frontier.Cores.String(), "1-2"},
		"Frontier's network":    {frontier.Net, "cxi://cxi1"},
		"Frontier's book":       {frontier.Book, "/opt/copper/share/copper/olcf_frontier_copper_addressbook.txt"},
		"the local book":        {parse("--site", "local").Book, ""},
		"cores elsewhere":       {everywhere.Cores.String(), "none"},
		"network elsewhere":     {everywhere.Net, "tcp"},
		"addresses elsewhere":   {everywhere.Addresses, launch.Discover},
		"the command line":      {parse("--site", "aurora", "-b", "3", "-n", "tcp").Cores.String(), "3"},
		"a site that is a path": {parse("-v", "frontier").Net, "tcp"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if !aurora.Fallback || !frontier.Fallback || everywhere.Fallback {
		t.Error("fallback")
	}
	// The specification's table, beside what the sites change.
	for _, c := range []launchCmd{everywhere, aurora, frontier} {
		if c.LogLevel != 4 || c.LogTo != "file" || c.Trees != 0 || c.Direct != 0 || c.Enoent != 2000 || c.Sleep != 0 || c.Mount != "" || !strings.HasSuffix(c.Dir, "/copper-logs") {
			t.Errorf("defaults: %+v", c)
		}
	}
	t.Setenv("COPPER_SITE", "aurora")
	t.Setenv("COPPER_CORES", "7")
	if c := parse(); c.Cores.String() != "7" || c.Net != "cxi" {
		t.Errorf("with variables: cores %v, network %s", c.Cores, c.Net)
	}
	if c := parse("-b", "8", "--site", "frontier"); c.Cores.String() != "8" || c.Net != "cxi://cxi1" {
		t.Errorf("with variables and a command line: cores %v, network %s", c.Cores, c.Net)
	}
}

// TestWrapperOptions: the letters that job scripts use are all there, with and without a value as ever.
func TestWrapperOptions(t *testing.T) {
	var table bytes.Buffer
	if err := writeTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, letter := range "ltdTMEsbFanv" {
		if strings.Count(table.String(), "| `-"+string(letter)+" ") != 1 {
			t.Errorf("-%c is missing:\n%s", letter, table.String())
		}
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "launch", "README.md"))
	if err != nil || !strings.Contains(string(readme), "\n"+table.String()+"\n") {
		t.Errorf("launch/README.md (%v) lacks this table, which `copper table` prints:\n%s", err, table.String())
	}
}

// TestWrappers: one for each site, and all alike.
func TestWrappers(t *testing.T) {
	for _, kind := range []string{"launch", "stop"} {
		var first string
		for _, site := range launch.Sites {
			script, err := os.ReadFile(filepath.Join("..", "..", "launch", kind+"_copper_"+site.Name+".sh"))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.SplitAfterN(string(script), "\n", 3) // the second says where
			alike := lines[0] + strings.ReplaceAll(lines[2], "--site "+site.Name, "--site SITE")
			if first == "" {
				first = alike
			}
			if alike != first {
				t.Errorf("%s_copper_%s.sh differs from the others:\n%s", kind, site.Name, script)
			}
		}
	}
	if found, _ := filepath.Glob(filepath.Join("..", "..", "launch", "*.sh")); len(found) != 2*len(launch.Sites) {
		t.Errorf("scripts: %q", found)
	}
}
