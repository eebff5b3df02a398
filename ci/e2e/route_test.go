package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/launch/route/advise"
)

// plain is the environment of a job script that knows where copper and its jobs are.
func plain(copper, jobs string, more ...string) []string {
	return append([]string{"PATH=" + filepath.Dir(copper) + ":/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "SHELL=/bin/csh",
		"PYTHONDONTWRITEBYTECODE=1", "OPENBLAS_NUM_THREADS=1", "COPPER_DIR=" + jobs}, more...)
}

// TestAdviseThenRoute: what copper advise says of an import, pasted into a script, makes Python import
// from the mount, and the PFS is left alone.
func TestAdviseThenRoute(t *testing.T) {
	copper := binary(t, "copper")
	dir, server := pfs(t, filepath.Dir(site(t)), 1)
	packages := filepath.Join(dir, "pfs0", "site-packages")
	job := start(t, cluster.Options{Dir: dir, Nodes: 1, Target: "/"})
	jobs := filepath.Join(dir, "jobs")

	report := filepath.Join(dir, "report")
	cmd := exec.Command(copper, "advise", "--json", "-o", report, "--", "/usr/bin/python3", "-c", "import numpy, sys; print(numpy.__file__); sys.exit(7)")
	cmd.Env = plain(copper, jobs, "PYTHONPATH="+packages)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 7 || string(out) != packages+"/numpy/__init__.py\n" {
		t.Fatalf("%v: %q, want the command's own output and exit code", err, out)
	}
	var r advise.Report
	content, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	if want := `eval "$(copper env --pythonpath ` + packages + `)"`; len(r.Lines) != 1 || r.Lines[0] != want || r.Status != 7 {
		t.Fatalf("status %d, %q, want %s\n%s", r.Status, r.Lines, want, content)
	}
	if len(r.Inputs)+len(r.Outputs)+len(r.Bypasses)+len(r.Further) > 0 {
		t.Errorf("more than the packages: %s", content)
	}

	server.Reset()
	script := r.Lines[0] + "\n" + `python3 -c 'import numpy, scipy.special as s; print(numpy.__file__, s.__file__)'`
	for _, shell := range []string{"sh", "bash"} {
		cmd = exec.Command(shell, "-euc", script)
		cmd.Env = plain(copper, jobs, "PYTHONPATH="+packages+":/kept")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err = cmd.Output()
		through := job.Mount(0) + packages
		if want := through + "/numpy/__init__.py " + through + "/scipy/special/__init__.py\n"; err != nil || string(out) != want {
			t.Fatalf("%s: %v: %q, want %q\n%s", shell, err, out, want, stderr.String())
		}
		if strings.Contains(stderr.String(), "warning") {
			t.Errorf("%s: %s", shell, stderr.String())
		}
	}
	for path, a := range askedByPath(server) {
		if size, err := os.Stat(filepath.Join(filepath.Dir(site(t)), path)); err == nil && !size.IsDir() && a.bytes > size.Size()+page {
			t.Errorf("%s: %d bytes read of %d: not all went through the mount", path, a.bytes, size.Size())
		}
	}

	// Once more with advice, now that it is routed.
	cmd = exec.Command("sh", "-euc", r.Lines[0]+"\n"+`copper advise -- python3 -c 'import numpy'`)
	cmd.Env = plain(copper, jobs)
	text, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(text), "through the mount already") || strings.Contains(string(text), "eval") {
		t.Errorf("%v\n%s", err, text)
	}
}
