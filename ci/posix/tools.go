package posix

import (
	"os"
	"os/exec"
	"testing"
)

// programSources are built by [Build], and again by a compiler that sees them through the mount.
var programSources = map[string]string{
	"include/greet.h": "#define GREETING \"hello\"\nconst char *greet(void);\n",
	"greet.c":         "#include <greet.h>\nconst char *greet(void) { return GREETING; }\n",
	"hello.c": `#include <stdio.h>
#include <greet.h>
int main(int n, char **a) { printf("%s %s %s\n", greet(), n > 1 ? a[1] : "", n > 2 ? a[2] : ""); return 0; }
`,
	"plugin.c": "int answer(void) { return ANSWER; }\n",
	"plugins.c": `#include <dlfcn.h>
#include <stdio.h>
int main(int n, char **a) {
	for (int i = 1; i < n; i++) {
		void *lib = dlopen(a[i], RTLD_NOW);
		int (*answer)(void) = lib ? (int (*)(void))dlsym(lib, "answer") : 0;
		if (answer) printf("%d\n", answer()); else puts("no plugin");
	}
	return 0;
}
`,
}

// setUp makes what programs make.
func setUp(t testing.TB, dir string) {
	t.Helper()
	cmd := exec.Command("bash", "-ec", `
		cd "$1`+program+`"
		gcc -shared -fPIC -Iinclude -o libgreet.so greet.c
		gcc -Iinclude -L. -Wl,-rpath,'$ORIGIN' -o hello hello.c -lgreet
		gcc -shared -fPIC -DANSWER=42 -o plugin-a.so plugin.c
		gcc -shared -fPIC -DANSWER=43 -o plugin-b.so plugin.c
		gcc -o plugins plugins.c -ldl
		mkdir "$1`+repo+`" && cd "$1`+repo+`" && export HOME=$PWD
		git init -q -b main
		cp -r "$1`+program+`/include" . && seq 1000 > numbers && ln -s numbers link && touch empty
		for i in $(seq 50); do echo $i > file$i; done
		git add . && git -c user.name=n -c user.email=e@x commit -q -m first
		seq 999 > numbers && rm file7 && echo more > untracked && git add numbers && seq 998 > numbers
		git status >/dev/null`, "bash", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sources, err := os.ReadDir(dir + program)
	if err != nil || len(sources) < 9 {
		t.Fatal(sources, err)
	}
}

// tools are everyday programs; each prints the same, whichever directory it looks at.
func (s *suite) tools() map[string]func(*testing.T) {
	tests := map[string]func(*testing.T){
		"Cp":       s.cp,
		"Rsync":    s.rsync,
		"Refusals": s.refusals,
	}
	for name, script := range map[string]string{
		"Tar": `cd "$1` + copied + `" && tar --sort=name -cf - . | cksum; tar --sort=name --sparse -cf - . | tar -df - && echo equal
			cd "$OLDPWD"; tar -cf - -C "$1` + copied + `" links | tar -xf - && ls -l links/sparse | cut -d' ' -f5`,
		"Find": `cd "$1" && find tree modes victim ` + program[1:] + ` big -ls 2>&1 | sort -k11
			find tree -type l | sort; find tree -newer tree/times/3 -size +100k | sort; find tree -samefile tree/links/hard | sort; find tree -xtype l | sort; find . -maxdepth 1 -empty | sort`,
		"Ls": `cd "$1" && ls -lRis --full-time tree modes; ls -la . | tail -n +4 | sort; ls -Q ` + many[1:] + ` | cksum`,
		"Du": `cd "$1" && du -al tree big ` + many[1:] + ` | sort -k2; du -s tree big; du -bs tree big; du -s --inodes tree; df --output=size . | tail -n 1`,
		"Git": `cd "$1` + repo + `" && export HOME=$PWD GIT_OPTIONAL_LOCKS=0 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
			git diff-files; git status; git diff --stat; git diff --cached | cksum; git log --stat | cksum; git fsck --strict; git ls-files -s | cksum
			cd "$OLDPWD" && git clone -q --no-local "$1` + repo + `" clone && ls clone | wc -l`,
		"Ldd": `ldd "$1` + program + `/hello" | sed 's/(0x.*//'; "$1` + program + `/hello" from ldd; readelf -d "$1` + program + `/hello" | cksum`,
		"Gcc": `p="$1` + program + `"
			gcc -E -I"$p/include" "$p/hello.c" | grep -c -v '^#' >/dev/null && gcc -MM -I"$p/include" "$p/hello.c"
			gcc -I"$p/include" -L"$p" -Wl,-rpath,"$p" -o linked "$p/hello.c" -lgreet && ./linked linked through
			gcc -include "$p/include/greet.h" -I"$p/include" -shared -fPIC -o libgreet.so "$p/greet.c" && LD_LIBRARY_PATH=. ./linked own library
			LD_PRELOAD="$p/libgreet.so" ./linked preloaded`,
		"Text": `cd "$1` + copied + `" && grep -rc n names/ | sort; cat sizes/* | cksum; head -c 5000 sizes/131073 | cksum; tail -c 5000 sizes/131073 | cksum
			split -n 3 sizes/1048577 "$OLDPWD/part" && cat "$OLDPWD"/part* | cksum; dd if=sizes/1048577 bs=64k skip=3 2>/dev/null | cksum; od -A d -t x1 sizes/4097 | cksum
			sort sizes/4097 | cksum; file=sizes/1; test -r $file -a -s $file -a ! -L $file; echo $?; wc -c sizes/*; stat -L links/soft links/dir -c '%n %F %s'; realpath links/up links/dir/../soft`,
	} {
		tests[name] = func(t *testing.T) {
			s.same(t, func(dir string) string { return sh(t, dir, script) })
		}
	}
	return tests
}

// cp copies all there is to copy, and the copy is like what is behind the mount.
func (s *suite) cp(t *testing.T) {
	to := t.TempDir() + copied
	if out, err := exec.Command("cp", "-a", s.mount+copied, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const list = `cd "$1" && find . -printf '%p %y %m %U %G %n %T@ %l ' \( -type d -printf '\n' -o -printf '%s\n' \) | sort
		find . -type f -print0 | sort -z | xargs -0 cksum`
	if got, want := sh(t, to, list), sh(t, s.native+copied, list); got != want {
		t.Errorf("copied:\n%s\nbehind the mount:\n%s", got, want)
	}
}

// rsync, comparing content, finds nothing to do in either direction.
func (s *suite) rsync(t *testing.T) {
	const compare = `rsync -aHc --dry-run --delete --itemize-changes "$1" "$2"`
	for _, pair := range [][2]string{{s.mount, s.native}, {s.native, s.mount}} {
		out, err := exec.Command("bash", "-c", compare, "bash", pair[0]+copied+"/", pair[1]+copied+"/").CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("from %s to %s: %v\n%s", pair[0], pair[1], err, out)
		}
	}
}

// refusals: what tools say when they would change something.
func (s *suite) refusals(t *testing.T) {
	const script = `export LC_ALL=C
		gcc -shared -o "$1` + program + `/new" "$1` + program + `/plugin.c" -DANSWER=1 2>&1 | grep -c 'Read-only file system'
		git -C "$1` + repo + `" -c safe.directory='*' add untracked 2>&1 | grep -c 'Read-only file system'
		cp "$1` + victim + `/file" "$1` + victim + `/copy" 2>&1 | grep -c 'Read-only file system'
		echo x 2>&1 >>"$1` + victim + `/file" | grep -c 'Read-only file system'
		rm -rf "$1` + victim + `" 2>&1 | grep -v 'Read-only file system' | wc -l
		touch "$1` + victim + `/file" 2>&1 | grep -c 'Read-only file system'
		sed -i s/a/b/ "$1` + victim + `/file" 2>&1 | grep -c 'Read-only file system'`
	if got := sh(t, s.mount, script); got != "1\n1\n1\n1\n0\n1\n1\n" {
		t.Errorf("%s", got)
	}
}
