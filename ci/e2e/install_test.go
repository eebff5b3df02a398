package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// staged is what make install makes of the binaries under test, in a directory of the test's own that
// stands for the one that it was told. The rest of the machine has nothing of it.
func staged(t *testing.T) string {
	t.Helper()
	bin := filepath.Dir(binary(t, "copper"))
	stage := t.TempDir()
	cmd := exec.Command("make", "--no-print-directory", "-C", filepath.Dir(bin), "install-files",
		"DESTDIR="+stage, "PREFIX=/opt/copper", "VERSION=1.2-test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(stage, "opt", "copper")
}

// says runs a command in an environment of nothing else, and checks what it says.
func says(t *testing.T, want []string, env []string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("%v: no %q in\n%s", command, w, out)
		}
	}
}

// TestInstall: what was installed works where it lies: program, manual pages, completions, module file.
func TestInstall(t *testing.T) {
	root := staged(t)
	t.Run("binary", func(t *testing.T) {
		for name, mpi := range map[string]string{"copper": "Open MPI", "copper-mpich": "MPICH"} {
			out, err := exec.Command(filepath.Join(root, "bin", name), "version", "--json").Output()
			if err != nil {
				t.Fatal(err)
			}
			var v struct {
				Version, Go, MPI, OS, Arch string
				CommitTime                 time.Time `json:"commit_time"`
			}
			if err := json.Unmarshal(out, &v); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if v.Version == "" || v.MPI != mpi || !strings.HasPrefix(v.Go, "go1.") || v.OS != "linux" || v.Arch == "" {
				t.Errorf("%s: %s", name, out)
			}
			text, err := exec.Command(filepath.Join(root, "bin", name), "version").Output()
			if err != nil || !strings.Contains(string(text), "copper "+v.Version) || !strings.Contains(string(text), "MPI: "+mpi) {
				t.Errorf("%s: %v: %s", name, err, text)
			}
		}
	})
	t.Run("examples", func(t *testing.T) {
		there, _ := filepath.Glob("../../examples/*/*.sh")
		here, _ := filepath.Glob(filepath.Join(root, "share/copper/examples/*/*.sh"))
		if len(there) < 2 || len(here) != len(there) {
			t.Errorf("%d of %d examples are installed", len(here), len(there))
		}
	})
	t.Run("manual", func(t *testing.T) {
		pages, err := filepath.Glob(filepath.Join(root, "share/man/man1/*.1"))
		if err != nil || len(pages) < 10 {
			t.Fatalf("%v, %v", pages, err)
		}
		says(t, nil, nil, append([]string{"mandoc", "-T", "lint", "-W", "error"}, pages...)...)
		says(t, []string{"Start the daemons in the background", "COPPER_LOG_LEVEL"}, nil,
			"mandoc", "-T", "html", filepath.Join(root, "share/man/man1/copper-launch.1"))
	})
	t.Run("completion", func(t *testing.T) {
		says(t, []string{"<launch>", "<off>"}, nil, "bash", "-uc", `source $1
try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _copper; echo "<${COMPREPLY[*]}>"; }
try copper la
try copper launch --compress = of`, "bash", filepath.Join(root, "share/bash-completion/completions/copper"))
	})
	t.Run("module", func(t *testing.T) {
		file := filepath.Join(root, "share/modulefiles/copper/1.2-test.lua")
		says(t, []string{
			"conflict copper", "setenv COPPER_ROOT " + root, "prepend_path PATH " + root + "/bin", "prepend_path MANPATH " + root + "/share/man",
			"pushenv COPPER_SITE frontier", "whatis Version: 1.2-test",
		}, []string{"LMOD_SYSTEM_NAME=frontier"}, "lua5.4", "-e", lmod, file)
		elsewhere := filepath.Join(t.TempDir(), "copper.lua")
		if err := os.Symlink(file, elsewhere); err != nil {
			t.Fatal(err)
		}
		says(t, []string{"LmodError " + elsewhere + " is not in an installation"}, nil, "lua5.4", "-e", lmod, elsewhere)
	})
}

// lmod is what a module file is for Lmod, as far as ours goes: it says what was called. The file is its argument.
const lmod = `
for _, name in ipairs { "help", "whatis", "conflict", "setenv", "pushenv", "prepend_path" } do
  _G[name] = function(...) print(table.concat({ name, ... }, " ")) end
end
function myFileName() return arg[0] end
function pathJoin(...) return table.concat({ ... }, "/") end
function LmodError(message) print("LmodError " .. message) os.exit(0) end
`

// TestSpackRecipe runs the recipe's own test.
func TestSpackRecipe(t *testing.T) {
	binary(t, "copper")
	says(t, []string{"OK"}, nil, "python3", "../../launch/spack/package_test.py")
}
