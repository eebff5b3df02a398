package route

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/copper-hpc/copper/launch"
)

// Shell is a family of shells.
type Shell string

// The families.
const (
	Sh   Shell = "sh"
	Csh  Shell = "csh"
	Fish Shell = "fish"
)

// shells are the families of the shells that are known.
var shells = map[string]Shell{
	"sh": Sh, "bash": Sh, "dash": Sh, "ksh": Sh, "ksh93": Sh, "mksh": Sh, "zsh": Sh, "busybox": Sh,
	"csh": Csh, "tcsh": Csh, "bsd-csh": Csh, "fish": Fish,
}

// ParseShell is the family of a shell by its name or path.
func ParseShell(name string) (Shell, error) {
	if s, ok := shells[filepath.Base(name)]; ok {
		return s, nil
	}
	return "", launch.BadInput("--shell=%s: want sh (also for bash, zsh, ksh), csh (also for tcsh) or fish", name)
}

// ThisShell is the family of the shell that process parent runs, else of the user's own, else sh. A job
// script in sh may well belong to a user of csh.
func ThisShell(parent int, getenv func(string) string) Shell {
	exe, _ := os.Readlink("/proc/" + strconv.Itoa(parent) + "/exe")
	for _, name := range []string{exe, getenv("SHELL")} {
		if s, ok := shells[filepath.Base(name)]; ok {
			return s
		}
	}
	return Sh
}

// Failed is a command that fails, for eval to fail with.
const Failed = "false;\n"

// Text is the assignments for eval. It is an error if a value can't be said in this shell.
func (s Shell) Text(assign []Assignment) (string, error) {
	out := &strings.Builder{}
	for _, a := range assign {
		if strings.ContainsAny(a.Value, "\n\r\x00") {
			return "", launch.BadInput("%s has a line break in it: set it anew first", a.Name)
		}
		if s == Csh && strings.Contains(a.Value, "!") {
			return "", launch.BadInput("%s would have a ! in it, which csh takes for its history: use sh", a.Name)
		}
		format := map[Shell][2]string{
			Sh:   {"export %s=%s;\n", "unset %s;\n"},
			Csh:  {"setenv %s %s;\n", "unsetenv %s;\n"},
			Fish: {"set -gx %s %s;\n", "set -e %s;\n"},
		}[s]
		if a.Unset {
			fmt.Fprintf(out, format[1], a.Name)
			continue
		}
		fmt.Fprintf(out, format[0], a.Name, s.Quote(a.Value))
	}
	return out.String(), nil
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+"

// Word is Quote where quotes are needed.
func (s Shell) Word(text string) string {
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return s.Quote(text)
}

// Quote is the word of this shell that means text.
func (s Shell) Quote(text string) string {
	if s == Fish {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
