package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const noProcess = 1 << 30 // larger than any process id

// house is a directory of jobs on host n1 and a control base.
type house struct {
	t *testing.T
	Finder
}

func newHouse(t *testing.T) *house {
	return &house{t, Finder{Base: t.TempDir(), Host: "n1", Bases: []string{filepath.Join(shortDir(t), "c")}}}
}

var longAgo = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// add writes the state of a job that began age after longAgo.
func (h *house) add(id string, phase Phase, age time.Duration, ranks ...Rank) JobDir {
	h.t.Helper()
	return h.write(State{ID: id, Phase: phase, Started: longAgo.Add(age), Ranks: ranks})
}

func (h *house) write(s State) JobDir {
	h.t.Helper()
	dir := JobDirOf(h.Base, s.ID)
	if err := dir.Make(); err != nil {
		h.t.Fatal(err)
	}
	if err := dir.WriteState(s); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

func TestFind(t *testing.T) {
	h := newHouse(t)
	live := fakeServe(t, "live").Process.Pid
	older := fakeServe(t, "older").Process.Pid
	h.add("live", Ready, 3*time.Hour, Rank{0, "n2", 1, "/m"}, Rank{1, "n1", live, "/m"})
	h.add("older", Starting, time.Hour, Rank{0, "n1", older, ""})
	h.add("killed", Ready, 5*time.Hour, Rank{0, "n1", noProcess, "/m"})
	h.add("stopped", Stopped, 6*time.Hour, Rank{0, "n1", noProcess, "/m"})
	h.add("failed", Failed, 7*time.Hour, Rank{0, "n1", noProcess, "/m"})
	h.add("reused", Ready, 8*time.Hour, Rank{0, "n1", live, "/m"}) // its process id is another job's now
	for _, name := range []string{"no-job", ".hidden"} {
		if err := os.MkdirAll(filepath.Join(h.Base, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]string{"": "live", "live": "live", "older": "older"} {
		h.ID = id
		job, err := h.Find()
		if err != nil || job.State.ID != want {
			t.Errorf("%q: %v, %v; want %s", id, job, err, want)
		}
	}
	for id, why := range map[string]string{
		"killed": "its daemons are gone", "stopped": "was stopped", "failed": "failed at", "reused": "its daemons are gone", "none": "there is no job none",
	} {
		h.ID = id
		_, err := h.Find()
		var none *NoJobError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "no Copper job is running under "+h.Base) {
			t.Errorf("%s: %v, want no job because %q", id, err, why)
		}
		if ExitCode(err) != ExitFailed {
			t.Errorf("%s: exit code %d", id, ExitCode(err))
		}
	}
}

func TestFindNothing(t *testing.T) {
	h := newHouse(t)
	for _, base := range []string{h.Base, filepath.Join(h.Base, "missing")} {
		h.Base = base
		if _, err := h.Find(); err == nil || !strings.Contains(err.Error(), "there has been none") {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// TestFindElsewhere: a job whose nodes are all others can't be seen to have ended.
func TestFindElsewhere(t *testing.T) {
	h := newHouse(t)
	h.add("far", Ready, 0, Rank{0, "n2", 1, "/m"}, Rank{1, "n3", 1, "/m"}, Rank{2, "n4", 1, "/m"})
	job, err := h.Find()
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Elsewhere(job); got != "n2 … n4" {
		t.Errorf("elsewhere: %q", got)
	}
	if _, err := h.Status(t.Context(), job, false); err == nil || !strings.Contains(err.Error(), "n2 … n4") {
		t.Errorf("status: %v, want where the job runs", err)
	}
	if _, _, err := h.Stop(t.Context(), job, noMounts); err == nil || !strings.Contains(err.Error(), "n2 … n4") {
		t.Errorf("stop: %v, want where the job runs", err)
	}
}

// TestFindByFootprint: a daemon is found before the state file names it, and its footprint is
// surer than that.
func TestFindByFootprint(t *testing.T) {
	h := newHouse(t)
	pid := fakeServe(t, "7").Process.Pid
	h.add("7", Connected, 0, Rank{0, "n1", noProcess, ""})
	f := &Footprint{Job: "7", Rank: 1, PID: pid, Born: readProcess(pid).born}
	if err := f.Write(h.Bases); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Find(); err != nil {
		t.Error(err)
	}
	f.Born++ // that was an earlier process of the same number
	if err := f.Write(h.Bases); err != nil {
		t.Fatal(err)
	}
	if job, err := h.Find(); err == nil {
		t.Errorf("found %+v", job)
	}
}

func TestFindByLauncher(t *testing.T) {
	h := newHouse(t)
	launcher := fakeServe(t, "x").Process.Pid
	dir := h.add("7", Starting, 0)
	record := launcherRecord{PID: launcher, Born: readProcess(launcher).born, Host: "n1"}
	if err := dir.writeLauncher(record); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Find(); err != nil {
		t.Error(err)
	}
	record.Born++
	if err := dir.writeLauncher(record); err != nil {
		t.Fatal(err)
	}
	if job, err := h.Find(); err == nil {
		t.Errorf("found %+v", job)
	}
}
