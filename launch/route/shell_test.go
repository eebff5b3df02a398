package route

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// nasty are values that a careless quotation would break, or run.
var nasty = []string{
	"/plain", "/with space  and\ttab", "/it's", `/"double"`, "/$(touch pwned)`touch pwned`$HOME", `/back\slash\'`, `/\\n\`, "/*?[a-z]{b,c}~",
	"/a;b&c|d<e>f#g", "/ünï/漢字", "-n", "", "/trailing\\", "/a'b\"c'd$e`f`",
}

// TestEval: what is printed means the value and nothing else, in every shell that is here.
func TestEval(t *testing.T) {
	script := map[Shell]string{
		Sh:   `eval "$(cat)"; printenv COPPER_A; printenv COPPER_GONE; exit 0`,
		Csh:  "eval \"`cat`\"; printenv COPPER_A; printenv COPPER_GONE; exit 0",
		Fish: `cat | source; printenv COPPER_A; printenv COPPER_GONE; exit 0`,
	}
	for _, name := range []string{"sh", "bash", "dash", "zsh", "ksh", "tcsh", "fish"} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Skip(err)
			}
			shell, err := ParseShell(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, value := range append(nasty, "/history!!", "/!$ !x") {
				text, err := shell.Text([]Assignment{{Name: "COPPER_A", Value: value}, {Name: "COPPER_GONE", Unset: true}})
				if shell == Csh && strings.Contains(value, "!") {
					if err == nil {
						t.Errorf("%q is not refused", value)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				flag := "-c"
				if shell == Csh {
					flag = "-fc"
				}
				cmd := exec.Command(path, flag, script[shell])
				cmd.Dir = t.TempDir()
				cmd.Env = append(os.Environ(), "COPPER_GONE=here", "COPPER_A=before")
				cmd.Stdin = strings.NewReader(text)
				out, err := cmd.CombinedOutput()
				if err != nil || string(out) != value+"\n" {
					t.Errorf("%q: %v: %q by\n%s", value, err, out, text)
				}
				if left, _ := os.ReadDir(cmd.Dir); len(left) > 0 {
					t.Errorf("%q was run", value)
				}
			}
		})
	}
}

// TestFailed: eval of a failure fails.
func TestFailed(t *testing.T) {
	if err := exec.Command("sh", "-ec", `eval "$1"; true`, "sh", Failed).Run(); err == nil {
		t.Error("eval succeeds")
	}
}

func TestLineBreaksAreRefused(t *testing.T) {
	for _, shell := range []Shell{Sh, Csh, Fish} {
		if text, err := shell.Text([]Assignment{{Name: "A", Value: "/a\n/b"}}); err == nil {
			t.Errorf("%s: %q", shell, text)
		}
	}
}

func TestThisShell(t *testing.T) {
	env := func(shell string) func(string) string { return func(string) string { return shell } }
	for _, c := range []struct {
		env  string
		want Shell
	}{{"/bin/tcsh", Csh}, {"/usr/bin/fish", Fish}, {"/bin/zsh", Sh}, {"/bin/unknown", Sh}, {"", Sh}} {
		if got := ThisShell(os.Getpid(), env(c.env)); got != c.want { // this process is no shell
			t.Errorf("SHELL=%s: %s, want %s", c.env, got, c.want)
		}
	}
	// The shell that runs the command says more than the user's own.
	cmd := exec.Command("bash", "-c", "read line; exit 0")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := ThisShell(cmd.Process.Pid, env("/bin/tcsh")); got != Sh {
		t.Errorf("of bash: %s", got)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestWord(t *testing.T) {
	for text, want := range map[string]string{"/a/b-1.2": "/a/b-1.2", "": "''", "/a b": "'/a b'", "/a'b": `'/a'\''b'`} {
		if got := Sh.Word(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
