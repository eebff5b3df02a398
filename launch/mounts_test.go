package launch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stack is a place with mounts one over the other, the uppermost last.
type stack struct {
	mounts    []string // "dead", "live", "hung" or a type of another file system
	unmounted int
	fail      error // of unmounting
}

func (s *stack) mountsOf() Mounts {
	top := func() string {
		if len(s.mounts) == 0 {
			return ""
		}
		return s.mounts[len(s.mounts)-1]
	}
	return Mounts{
		Type: func(string) (string, error) {
			switch m := top(); m {
			case "dead", "live", "hung":
				return FSType, nil
			default:
				return m, nil
			}
		},
		Probe: func(context.Context, string) error {
			switch top() {
			case "dead":
				return ErrDead
			case "hung":
				return errHung
			}
			return nil
		},
		Unmount: func(context.Context, string) error {
			if s.fail != nil {
				return s.fail
			}
			s.mounts = s.mounts[:len(s.mounts)-1]
			s.unmounted++
			return nil
		},
	}
}

func TestClearMountpoint(t *testing.T) {
	for name, c := range map[string]struct {
		mounts    []string
		unmounted int
		fails     string
	}{
		"nothing":              {},
		"another file system":  {mounts: []string{"tmpfs"}},
		"dead":                 {mounts: []string{"dead"}, unmounted: 1},
		"dead twice":           {mounts: []string{"dead", "dead"}, unmounted: 2},
		"dead below another":   {mounts: []string{"dead", "tmpfs"}},
		"live":                 {mounts: []string{"live"}, fails: "in use"},
		"dead over a live one": {mounts: []string{"live", "dead"}, unmounted: 1, fails: "in use"},
		"hung":                 {mounts: []string{"hung"}, fails: "does not answer"},
	} {
		s := &stack{mounts: c.mounts}
		did, err := s.mountsOf().ClearMountpoint(t.Context(), nil, "/tmp/x")
		if s.unmounted != c.unmounted || did != (c.unmounted > 0) {
			t.Errorf("%s: unmounted %d times, told %v, want %d", name, s.unmounted, did, c.unmounted)
		}
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.fails)
		}
	}
	s := &stack{mounts: []string{"dead"}, fail: errors.New("not permitted")}
	if _, err := s.mountsOf().ClearMountpoint(t.Context(), nil, "/tmp/x"); !errors.Is(err, s.fail) {
		t.Errorf("unmounting failed, and the error is %v", err)
	}
}

func TestLiveMountNamesItsJob(t *testing.T) {
	bases := []string{filepath.Join(shortDir(t), "control")}
	point := filepath.Join(t.TempDir(), "mnt")
	daemon := fakeServe(t, "other-job")
	f := &Footprint{Job: "other-job", Rank: 3, PID: daemon.Process.Pid, Mount: point}
	if err := f.Write(bases); err != nil {
		t.Fatal(err)
	}
	s := &stack{mounts: []string{"live"}}
	_, err := s.mountsOf().ClearMountpoint(t.Context(), bases, point)
	if ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "other-job") {
		t.Errorf("%v, want bad input that names the job", err)
	}
}

func TestProbe(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context10s(t)
	if err := Probe(ctx, program, "/x/live", false); err != nil {
		t.Error(err)
	}
	if err := Probe(ctx, program, "/x/dead", false); !errors.Is(err, ErrDead) {
		t.Errorf("dead: %v", err)
	}
	if err := Probe(ctx, program, "/x/failing", true); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("failing: %v, want what the child said", err)
	}
	if _, err := os.Stat(tester); err == nil {
		if err := Probe(ctx, "/nonexistent/copper", t.TempDir(), true); err != nil {
			t.Errorf("a fresh mount that answers test(1): %v", err)
		}
	}
	if err := Probe(ctx, "/nonexistent/copper", "/x/live", false); err == nil {
		t.Error("a probe without a program is no answer")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := Probe(gone, program, "/x/hung", false); !errors.Is(err, errHung) {
		t.Errorf("hung: %v", err)
	}
}

func TestLook(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		if err := Look(t.TempDir(), fresh); err != nil {
			t.Error(err)
		}
		if err := Look("/nonexistent", fresh); !errors.Is(err, os.ErrNotExist) || LookExitCode(err) != ExitFailed {
			t.Errorf("missing: %v", err)
		}
	}
}

func TestMissingDirs(t *testing.T) {
	dir := t.TempDir()
	point := filepath.Join(dir, "a", "b", "c")
	want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "a", "b"), point}
	missing := MissingDirs(point)
	if !slices.Equal(missing, want) {
		t.Fatalf("missing %q, want %q", missing, want)
	}
	for range 2 { // another rank was faster
		if err := MakeDirs(missing); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(point)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if missing := MissingDirs(point); len(missing) > 0 {
		t.Errorf("still missing %q", missing)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeDirs([]string{filepath.Join(file, "x")}); ExitCode(err) != ExitBadInput {
		t.Errorf("below a file: %v, want bad input", err)
	}
}
