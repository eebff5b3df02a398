package docs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// line is a command line with one of everything.
type line struct {
	Go struct {
		Speed  string `enum:",slow,fast" default:"" placeholder:"SPEED" short:"s" env:"SPEED" help:"Speed: [any] (slow)."`
		Dir    string `placeholder:"DIR" help:"Where to."`
		Count  int    `placeholder:"N" help:".5 is not one; 'more' \\ are."`
		Quick  bool   `help:"Quickly."`
		Secret bool   `hidden:"" help:"Nobody's business."`
		What   string `arg:"" optional:"" help:"What goes."`
	} `cmd:"" help:"Go."`
	Book struct {
		Make struct{} `cmd:"" help:"Make a book."`
		Read struct {
			File string `arg:"" help:"Book."`
		} `cmd:"" help:"Read a book."`
	} `cmd:"" help:"Books."`
	Private struct{} `cmd:"" hidden:"" help:"Nobody's business."`
}

// written is the directory with the documents of a small program.
func written(t *testing.T) string {
	t.Helper()
	parser, err := kong.New(&line{}, kong.Name("prog"), kong.Description("Prog does.\n\nExit codes: 0."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Write(dir, parser.Model, Edition{Version: "v1.2-3", Date: time.Unix(1e9, 0)}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWrite(t *testing.T) {
	dir := written(t)
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		names = append(names, name)
		text, err := os.ReadFile(path)
		for _, hidden := range []string{"private", "secret", "Nobody"} {
			if strings.Contains(string(text), hidden) {
				t.Errorf("%s shows what is hidden: %s", name, hidden)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	want := []string{
		"bash-completion/completions/prog", "fish/vendor_completions.d/prog.fish",
		"man/man1/prog-book-make.1", "man/man1/prog-book-read.1", "man/man1/prog-book.1", "man/man1/prog-go.1", "man/man1/prog.1",
		"zsh/site-functions/_prog",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(written(t), "man/man1/prog-go.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`.TH PROG\-GO 1 "2001-09-09" "prog v1.2\-3"`, `prog\-go \- Go`, ".B prog go\n" + `[\fIoptions\fR] [\fIwhat\fR]`,
		`\fB\-s\fR, \fB\-\-speed\fR=\fISPEED\fR`, `Environment: \fBSPEED\fR.`, `\fB\-\-quick\fR` + "\n",
		`\&.5 is not one; 'more' \e are.`, ".TP\n.I what\nWhat goes.", ".BR prog (1)",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestBash completes command lines, of which each word is one of what the shell would split them into.
func TestBash(t *testing.T) {
	script := filepath.Join(written(t), "bash-completion/completions/prog")
	place := t.TempDir()
	for _, name := range []string{"file", "folder with space/"} {
		path := filepath.Join(place, name)
		if strings.HasSuffix(name, "/") {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"prog|", "go|book"},
		{"prog|b", "book"},
		{"prog|book|", "make|read"},
		{"prog|book|re", "read"},
		{"prog|go|--", "--help|--speed|--dir|--count|--quick"},
		{"prog|book|make|-", "-h|--help"},
		{"prog|go|--speed|sl", "slow"},
		{"prog|go|-s|sl", "slow"},
		{"prog|go|--speed|=|sl", "slow"},
		{"prog|go|--count|", ""},
		{"prog|go|--count|=|", ""},
		{"prog|go|--dir|f", "folder with space"},
		{"prog|go|fi", "file"},
		{"prog|go|--quick|fi", "file"},
		{"prog|book|make|fi", ""},
	} {
		words := ""
		for word := range strings.SplitSeq(c.line, "|") {
			words += " " + quote(word)
		}
		cmd := exec.Command("bash", "-uc", fmt.Sprintf(
			`source %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _prog prog; IFS='|'; echo "${COMPREPLY[*]}"`, script, words))
		cmd.Dir = place
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != c.want {
			t.Errorf("%s: %v: got %s, want %s", c.line, err, got, c.want)
		}
	}
}

// TestReaders has programs read the documents that this machine may lack.
func TestReaders(t *testing.T) {
	dir := written(t)
	pages, err := filepath.Glob(filepath.Join(dir, "man/man1/*"))
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"mandoc": append([]string{"-T", "lint", "-W", "warning"}, pages...),
		"zsh":    {"-n", filepath.Join(dir, "zsh/site-functions/_prog")},
		"fish": {"-c", `source $argv[1]; and test (complete -C "prog b" | string split -f 1 \t) = book
			and test (complete -C "prog book re" | string split -f 1 \t) = read; and test (complete -C "prog go --speed f" | string split -f 1 \t) = fast`,
			filepath.Join(dir, "fish/vendor_completions.d/prog.fish")},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Skip(err)
			}
			if out, err := exec.Command(path, args...).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
