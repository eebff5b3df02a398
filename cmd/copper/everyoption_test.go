package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// optionValues are what an option of copper launch takes and what it refuses.
type optionValues struct {
	right []string
	wrong []string
	// any says who tests it if what can be wrong about a value is only seen on the machine.
	any string
}

// everyOption has each option of copper launch: those of the wrappers and of copper serve are among them.
var everyOption = map[string]optionValues{
	"site":                {right: []string{"aurora", "frontier", "local"}, wrong: []string{"moon"}},
	"sleep":               {right: []string{"1"}, wrong: []string{"-1", "x", "1.5"}},
	"dir":                 {right: []string{"/elsewhere"}, any: "TestBadPlaces"},
	"job":                 {right: []string{"12.host"}, wrong: []string{"../x", "a/b", "."}},
	"profile":             {right: []string{"true"}, wrong: []string{"maybe"}},
	"profile-top":         {right: []string{"1", "100000"}, wrong: []string{"-1", "x", "100001"}},
	"profile-paths":       {right: []string{"true"}, wrong: []string{"maybe"}},
	"profile-interval":    {right: []string{"60"}, wrong: []string{"-1", "x", "604801"}},
	"kernel-cache":        {right: []string{"off"}, wrong: []string{"some", ""}},
	"log-level":           {right: []string{"0", "1", "2", "3", "5"}, wrong: []string{"-1", "6", "info"}},
	"log-to":              {right: []string{"stdout", "both"}, wrong: []string{"paper", ""}},
	"trees":               {right: []string{"1", "8"}, wrong: []string{"-1", "x"}},
	"fanout":              {right: []string{"2", "8"}, wrong: []string{"-1", "1", "x"}},
	"enoent-ms":           {right: []string{"0", "100"}, wrong: []string{"-1", "x"}},
	"mount":               {right: []string{"/tmp/m-{rank}-{host}"}, any: "TestBadPlaces"},
	"target":              {right: []string{"/etc"}, any: "TestBadPlaces"},
	"symlinks":            {right: []string{"asis"}, wrong: []string{"follow"}},
	"memory":              {right: []string{"64MiB", "1g"}, wrong: []string{"lots", "1MiB", "-1"}},
	"net":                 {right: []string{"tcp://hsn0", "tcp://127.0.0.1:0", "cxi", "cxi://cxi7", "ofi+tcp://127.0.0.1"}, wrong: []string{"udp", "cxi8", "cxi://cxi", "cxi://cxi8", "hsn0"}},
	"addresses":           {right: []string{"facility"}, wrong: []string{"guess", ""}},
	"address-book":        {right: []string{"/a/book"}, any: "TestWrapperRefusals"},
	"fallback":            {right: []string{"true"}, wrong: []string{"maybe"}},
	"cores":               {right: []string{"0", "48,49,50,51", "1-2,65-66"}, wrong: []string{"x", "4-2", "1,", "-1"}},
	"direct-above":        {right: []string{"10485760", "10MiB"}, wrong: []string{"x", "-1"}},
	"compress":            {right: []string{"off", "s2", "zstd"}, wrong: []string{"gzip"}},
	"allow":               {right: []string{"/lus/env", "/a:/b"}, wrong: []string{"lus/env", "/a:b"}},
	"encrypt":             {right: []string{"true"}, wrong: []string{"maybe"}},
	"timeout":             {right: []string{"90s"}, wrong: []string{"0s", "-1s", "x", "5"}},
	"nodes":               {right: []string{"1", "4"}, wrong: []string{"0", "-1", "x"}},
	"exclude":             {right: []string{"n3", "n[3-5],n9"}, any: "TestWithout"},
	"warm":                {right: []string{"/a/manifest.gz"}, any: "TestWarm"},
	"prometheus":          {right: []string{"9464", "127.0.0.1:9464"}, wrong: []string{"x", "1:2:3", "99999"}},
	"prometheus-textfile": {right: []string{"/a/copper.prom"}, wrong: []string{"/a/copper.txt"}},
	"print":               {right: []string{"true"}, wrong: []string{"maybe"}},
}

// TestEveryOption walks the table of options itself: each is understood, by its letter, its name and its variable, and
// handed on to the daemons; each wrong value is refused with the usage and exit code 2, and starts nothing.
func TestEveryOption(t *testing.T) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "COPPER_") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	jobs := filepath.Join(t.TempDir(), "jobs")
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	commands := parser.Model.Children
	flags := map[string][]*kong.Flag{}
	for _, c := range commands {
		flags[c.Name] = c.Flags
	}
	base := parse(t, "launch").Launch
	for _, flag := range flags["launch"] {
		if flag.Hidden || flag.Name == "help" {
			continue
		}
		values, there := everyOption[flag.Name]
		if !there || len(values.right) == 0 || len(values.wrong) == 0 && values.any == "" {
			t.Errorf("--%s: no test knows what it takes and what it refuses: see everyOption", flag.Name)
			continue
		}
		served := slices.ContainsFunc(flags["serve"], func(f *kong.Flag) bool { return f.Name == flag.Name })
		for _, value := range values.right {
			for how, args := range forms(t, flag, value) {
				c := parse(t, append([]string{"launch"}, args...)...).Launch
				if reflect.DeepEqual(c, base) {
					t.Errorf("%s %s changes nothing", how, value)
				}
				if got := parse(t, append([]string{"serve"}, c.args()...)...).Serve.options; served && !reflect.DeepEqual(got, c.options) {
					t.Errorf("%s %s: the daemons get %+v, not %+v", how, value, got, c.options)
				}
			}
		}
		for _, value := range values.wrong {
			for how, args := range forms(t, flag, value) {
				var out, said bytes.Buffer
				code := run(append([]string{"launch", "--print", "-d", jobs}, args...), &out, &said)
				if code != 2 || out.Len() > 0 || !strings.HasPrefix(said.String(), "Usage: copper launch") || !strings.Contains(said.String(), "\ncopper: ") {
					t.Errorf("%s %q of --%s: exit code %d, want 2 and the usage:\n%s%s", how, value, flag.Name, code, out.String(), said.String())
				}
			}
		}
	}
	if _, err := os.Stat(jobs); err == nil {
		t.Error("something was started")
	}
}

// forms are the ways of giving an option a value. The variable is set for as long.
func forms(t *testing.T, flag *kong.Flag, value string) func(yield func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		if !yield("name", []string{"--" + flag.Name + "=" + value}) {
			return
		}
		if flag.Short != 0 && (!flag.IsBool() || value == "true") {
			args := []string{"-" + string(flag.Short)}
			if !flag.IsBool() {
				args[0] += value // as in -l4, so that -1 is no option
			}
			if value != "" && !yield("letter", args) {
				return
			}
		}
		if len(flag.Envs) == 1 && value != "" { // which is none
			t.Setenv(flag.Envs[0], value)
			yield("variable", nil)
			_ = os.Unsetenv(flag.Envs[0])
		}
	}
}
