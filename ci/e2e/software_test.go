package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/copper-hpc/copper/ci/cluster"
)

// makeSoftware makes what users have: a virtual environment with a package as pip leaves it, bytecode
// and a console script included; and a program with plugins, each of which needs a library of its own.
const makeSoftware = `
cd "$1"
/usr/bin/python3 -m venv --symlinks --without-pip venv
site=$(echo venv/lib/python3*/site-packages)
mkdir -p $site/parcel/data $site/parcel-1.5.dist-info $site/spread/one more/spread/two
cat >$site/parcel/__init__.py <<'E'
from importlib import resources
def greeting(): return resources.files(__name__).joinpath("data", "greeting.txt").read_text()
def main(): print(greeting())
E
printf 'from parcel' >$site/parcel/data/greeting.txt
printf 'Metadata-Version: 2.1\nName: parcel\nVersion: 1.5\n' >$site/parcel-1.5.dist-info/METADATA
printf '[console_scripts]\nparcel = parcel:main\n' >$site/parcel-1.5.dist-info/entry_points.txt
printf 'parcel/__init__.py,,\nparcel/data/greeting.txt,,\nparcel-1.5.dist-info/METADATA,,\n' >$site/parcel-1.5.dist-info/RECORD
printf '#!%s/venv/bin/python\nimport sys\nfrom parcel import main\nsys.exit(main())\n' "$1" >venv/bin/parcel
chmod +x venv/bin/parcel
echo 'x = 1' >$site/spread/one/a.py; echo 'x = 2' >more/spread/two/b.py
/usr/bin/python3 -m compileall -q $site
mkdir zipped && echo 'where = __file__' >zipped/inside.py && (cd zipped && /usr/bin/python3 -m zipfile -c ../zipped.zip inside.py)

mkdir -p app/lib app/plugins
for i in $(seq 20); do
	echo "int number$i(void) { return $i; }" | gcc -xc -shared -fPIC -o app/lib/libnumber$i.so -
	echo "int number$i(void); int plugin(void) { return 100 * number$i(); }" |
		gcc -xc -shared -fPIC -o app/plugins/p$i.so - -Lapp/lib -lnumber$i -Wl,-rpath,'$ORIGIN/../lib'
done
cat >app/main.c <<'E'
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
int main(int n, char **a) {
	int sum = 0;
	DIR *d = opendir(a[1]);
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[4096];
		snprintf(path, sizeof path, "%s/%s", a[1], e->d_name);
		if (!strstr(path, ".so")) continue;
		void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		int (*plugin)(void) = lib ? (int (*)(void))dlsym(lib, "plugin") : 0;
		if (!plugin) { puts(dlerror()); return 1; }
		sum += plugin();
	}
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[5000];
	int from = 0;
	while (maps && fgets(line, sizeof line, maps)) from += strstr(line, a[2]) && strstr(line, "r-xp");
	printf("%d %d\n", sum, from);
	return 0;
}
E
gcc -o app/main app/main.c -ldl
`

// TestSoftware: what people run, through the view of /.
func TestSoftware(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("bash", "-euc", makeSoftware, "make", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	job := start(t, cluster.Options{Nodes: 2, Target: "/"})
	// run runs a command in a plain environment, as a job script would.
	run := func(t *testing.T, env []string, args ...string) string {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = t.TempDir()
		cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "OPENBLAS_NUM_THREADS=1"}, env...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%.3000s\n%.3000s", args, err, out, stderr.String())
		}
		return strings.TrimSpace(string(out)) + stderr.String()
	}
	for node := range job.Nodes {
		t.Run(fmt.Sprint("Node", node), func(t *testing.T) {
			mount := job.Mount(node)
			here := mount + dir
			python := here + "/venv/bin/python"
			t.Run("Venv", func(t *testing.T) {
				got := run(t, nil, python, "-c", `if True:
					import sys, os, parcel, importlib.metadata as m
					print(sys.prefix, parcel.greeting(), m.version("parcel"), [e.name for e in m.entry_points(group="console_scripts")], parcel.__file__)
					print(os.readlink("/proc/self/exe"))`)
				site, err := filepath.Glob(here + "/venv/lib/python3*/site-packages/parcel/__init__.py")
				if err != nil || len(site) != 1 {
					t.Fatal(site, err)
				}
				exe, err := filepath.EvalSymlinks("/usr/bin/python3")
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("%s/venv from parcel 1.5 ['parcel'] %s\n%s", here, site[0], mount+exe); got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
				if got := run(t, nil, python, here+"/venv/bin/parcel"); got != "from parcel" {
					t.Errorf("the console script: %q", got)
				}
				if got := run(t, []string{"PYTHONPATH=" + filepath.Dir(filepath.Dir(site[0])) + ":" + here + "/more"}, "/usr/bin/python3", "-c",
					"import parcel, spread.one.a, spread.two.b; print(parcel.__file__, spread.one.a.x + spread.two.b.x)"); got != site[0]+" 3" {
					t.Errorf("by PYTHONPATH: %q", got)
				}
				if got := run(t, []string{"PYTHONPATH=" + here + "/zipped.zip"}, "/usr/bin/python3", "-c", "import inside; print(inside.where)"); got != here+"/zipped.zip/inside.py" {
					t.Errorf("from an archive: %q", got)
				}
			})
			t.Run("Bytecode", func(t *testing.T) {
				// That times and sizes are to the letter shows in that no module is compiled again.
				library := run(t, nil, "/usr/bin/python3", "-c", "import os; print(os.path.dirname(os.__file__))")
				got := run(t, []string{"PYTHONPATH=" + mount + library}, python, "-v", "-c", "import parcel, json, email.mime.text, asyncio")
				matched := strings.Count(got, "matches "+mount)
				if strings.Contains(got, "bytecode is stale") || !strings.Contains(got, here+"/venv/") || matched < 50 {
					t.Errorf("bytecode is not used: %d modules matched", matched)
				}
			})
			t.Run("Plugins", func(t *testing.T) {
				err := cluster.Together(1, 12, func(int) *exec.Cmd {
					return exec.Command("bash", "-c", `[ "$("$1/app/main" "$1/app/plugins" "$1")" = "21000 41" ]`, "bash", here)
				})
				if err != nil {
					t.Errorf("%v; alone: %s", err, run(t, nil, here+"/app/main", here+"/app/plugins", here))
				}
			})
			t.Run("Perl", func(t *testing.T) {
				var where []string
				for _, d := range strings.Fields(run(t, nil, "/usr/bin/perl", "-e", `print join " ", grep { -d } @INC`)) {
					where = append(where, mount+d)
				}
				got := run(t, []string{"PERL5LIB=" + strings.Join(where, ":")}, mount+"/usr/bin/perl", "-e", `
					use strict; use JSON::PP; use POSIX qw(floor); use List::Util qw(sum); use Storable qw(dclone); use Encode; use Digest::SHA qw(sha1_hex);
					print encode_json({a => [sum(1..4), floor(2.5), dclone([7])->[0], length(decode("UTF-8", "\xc3\xa9"))]}), " ", sha1_hex("x"), "\n";
					print join " ", grep { index($_, $ARGV[0]) } values %INC;`, mount)
				if want := `{"a":[10,2,7,1]} 11f6ad8ec52a2984abaafd7c3b516503785c2072`; got != want {
					t.Errorf("%q, want %q and no module from elsewhere", got, want)
				}
			})
			t.Run("Toolchain", func(t *testing.T) {
				source := filepath.Join(t.TempDir(), "main.c")
				if err := os.WriteFile(source, []byte("#include <math.h>\n#include <stdio.h>\nint main(int n, char **a) { printf(\"%.0f\\n\", sqrt(n + 143)); }\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				got := run(t, nil, mount+"/usr/bin/gcc", "-v", "-o", filepath.Join(filepath.Dir(source), "main"), source, "-lm")
				if !strings.Contains(got, mount+"/usr/lib/gcc") && !strings.Contains(got, mount+"/usr/libexec/gcc") && !strings.Contains(got, mount+"/usr/bin/../lib") {
					t.Errorf("the compiler did not come from the mount:\n%s", got)
				}
				if got := run(t, nil, filepath.Join(filepath.Dir(source), "main")); got != "12" {
					t.Errorf("compiled: %q", got)
				}
			})
		})
	}
	t.Run("NumPySciPy", func(t *testing.T) {
		packages := job.Mount(1) + "/usr/lib/python3/dist-packages"
		args := []string{"/usr/bin/python3", "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "--rootdir", packages}
		for _, tests := range []string{
			"numpy/core/tests/test_indexing.py", "numpy/core/tests/test_shape_base.py", "numpy/fft/tests",
			"scipy/interpolate/tests/test_fitpack.py", "scipy/fft/_pocketfft/tests/test_basic.py",
		} {
			args = append(args, packages+"/"+tests)
		}
		got := run(t, []string{"PYTHONPATH=" + packages, "PYTHONDONTWRITEBYTECODE=1"}, args...)
		last := got[strings.LastIndexByte(got, '\n')+1:]
		var passed int
		if _, err := fmt.Sscanf(last, "%d passed", &passed); err != nil || passed < 800 {
			t.Errorf("numpy's and scipy's own tests: %s", last)
		}
		t.Log(last)
	})
}
