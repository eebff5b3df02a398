package launch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// footprintOf is a footprint with a directory made for its mount.
func footprintOf(t *testing.T, bases []string, job string, rank, pid int, point string) *Footprint {
	t.Helper()
	f := &Footprint{Job: job, Rank: rank, PID: pid, Mount: point, Made: MissingDirs(point)}
	if err := f.Write(bases); err != nil {
		t.Fatal(err)
	}
	if err := MakeDirs(f.Made); err != nil {
		t.Fatal(err)
	}
	return f
}

func gone(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func TestFootprintRemove(t *testing.T) {
	base := filepath.Join(shortDir(t), "c")
	dir := t.TempDir()
	user := filepath.Join(dir, "user")
	first := footprintOf(t, []string{base}, "7", 0, 1, filepath.Join(user, "copper-0"))
	second := footprintOf(t, []string{base}, "7", 1, 2, filepath.Join(user, "copper-1"))
	if slices.Contains(second.Made, user) {
		t.Fatal("the second daemon made what the first had made")
	}
	// The one who made the common directory ends first; the last one removes it.
	first.Remove()
	if _, err := os.Stat(second.Mount); err != nil {
		t.Fatal(err)
	}
	second.Remove()
	gone(t, user, base)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a directory that nobody made was removed: %v", err)
	}
}

// TestFootprintOfADaemon: a rank lives as long as its supervisor or its daemon does, and what another
// rank left to it is not lost when the daemon changes.
func TestFootprintOfADaemon(t *testing.T) {
	base := filepath.Join(shortDir(t), "c")
	user := filepath.Join(t.TempDir(), "user")
	supervisor, daemon := fakeServe(t, "7"), fakeServe(t, "7")
	first := footprintOf(t, []string{base}, "7", 0, 1, filepath.Join(user, "copper-0"))
	f := footprintOf(t, []string{base}, "7", 1, supervisor.Process.Pid, filepath.Join(user, "copper-1"))
	first.Remove() // user is now the second one's to remove
	if err := f.NoteDaemon(daemon.Process.Pid); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFootprint(f.Path())
	if err != nil || !slices.Contains(got.Made, user) {
		t.Fatalf("%+v, %v", got, err)
	}
	both := []int{supervisor.Process.Pid, daemon.Process.Pid}
	if pids := got.processes(); !slices.Equal(pids, both) {
		t.Errorf("processes %v, want %v", pids, both)
	}
	end := func(cmd *exec.Cmd) {
		_ = cmd.Process.Kill()
		if !await(t.Context(), killBound, func() bool { return readProcess(cmd.Process.Pid) == nil }) {
			t.Fatal("it does not end")
		}
	}
	if end(supervisor); !got.alive() || !slices.Equal(got.processes(), both[1:]) {
		t.Errorf("without a supervisor: %v", got.processes())
	}
	if end(daemon); got.alive() {
		t.Errorf("without both: %v", got.processes())
	}
	got.Remove()
	gone(t, user, base)
	if _, err := ReadFootprint(f.Path()); err == nil {
		t.Error("a footprint that was removed is read")
	}
	if err := f.NoteDaemon(daemon.Process.Pid); err == nil {
		t.Error("a footprint that was removed is written")
	}
}

// TestControlDirComesAndGoes: daemons that end and daemons that start do not take each other's
// directories away.
func TestControlDirComesAndGoes(t *testing.T) {
	base := filepath.Join(shortDir(t), "c")
	var wg sync.WaitGroup
	for rank := range 4 {
		wg.Go(func() {
			for range 25 {
				f := &Footprint{Job: "7", Rank: rank}
				if err := f.Write([]string{base}); err != nil {
					t.Error(err)
					return
				}
				if _, err := os.Stat(f.path); err != nil {
					t.Error(err)
				}
				f.Remove()
			}
		})
	}
	wg.Wait()
	gone(t, base)
}

func TestFootprintUsesTheNextBase(t *testing.T) {
	open := shortDir(t)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(shortDir(t), "c")
	f := &Footprint{Job: "7"}
	if err := f.Write([]string{open, good}); err != nil {
		t.Fatal(err)
	}
	if got := f.ControlDir(); got != filepath.Join(good, "7") {
		t.Errorf("control directory %s", got)
	}
	if err := f.Write([]string{open}); err == nil || !strings.Contains(err.Error(), open) {
		t.Errorf("%v, want an error that names the directory", err)
	}
}

func TestCleanNode(t *testing.T) {
	bases := []string{filepath.Join(shortDir(t), "c")}
	dir := t.TempDir()
	point := func(name string) string { return filepath.Join(dir, name) }
	const noProcess = 1 << 30
	live := fakeServe(t, "live")
	footprintOf(t, bases, "live", 0, live.Process.Pid, point("live"))
	footprintOf(t, bases, "reused", 0, live.Process.Pid, point("reused")) // the pid is another job's now
	footprintOf(t, bases, "killed", 0, noProcess, point("dead"))
	footprintOf(t, bases, "killed", 1, noProcess, point("hung"))
	footprintOf(t, bases, "killed", 2, noProcess, point("mine"))
	footprintOf(t, bases, "killed", 3, noProcess, point("unmounted"))

	mounted := map[string]string{point("dead"): "dead", point("hung"): "hung", point("live"): "live", point("mine"): "dead"}
	mounts := Mounts{
		Type: func(p string) (string, error) {
			if mounted[p] != "" {
				return FSType, nil
			}
			return "", nil
		},
		Probe: func(_ context.Context, p string) error {
			return map[string]error{"dead": ErrDead, "hung": errHung}[mounted[p]]
		},
		Unmount: func(_ context.Context, p string) error { delete(mounted, p); return nil },
	}
	report := strings.Join(CleanNode(t.Context(), bases, "", mounts, point("mine")), "\n")
	if !strings.Contains(report, "unmounted "+point("dead")) || !strings.Contains(report, errHung.Error()) {
		t.Errorf("report: %s", report)
	}
	var left []string
	for _, f := range footprints(bases, "") {
		left = append(left, filepath.Base(f.Mount))
	}
	slices.Sort(left)
	if want := []string{"hung", "live", "mine"}; !slices.Equal(left, want) {
		t.Errorf("footprints left: %q, want %q", left, want)
	}
	gone(t, point("dead"), point("unmounted"), point("reused"), filepath.Join(bases[0], "reused"))
	if mounted[point("mine")] == "" {
		t.Error("a mount point that others take care of was unmounted")
	}
}

func TestBadFootprintsArePassedOver(t *testing.T) {
	dir, bases := controlDir(t)
	for name, content := range map[string]string{
		"0.json": "{", "1.json": `{"job":"8"}`, "2.json": strings.Repeat(" ", maxFootprint+1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found := footprints(bases, ""); len(found) > 0 {
		t.Errorf("found %+v", found[0])
	}
}
