package launch

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// running is a job of one rank, with a process that looks like its daemon and a control socket in
// this process.
func running(t *testing.T, h *house, serve bool) (*Job, *fakeDaemon) {
	t.Helper()
	cmd := fakeServe(t, "7")
	f := &Footprint{Job: "7", Rank: 0, PID: cmd.Process.Pid, Born: readProcess(cmd.Process.Pid).born}
	if err := f.Write(h.Bases); err != nil {
		t.Fatal(err)
	}
	h.add("7", Ready, 0, Rank{0, "n1", cmd.Process.Pid, ""})
	d := newFakeDaemon(0)
	d.Exit = func() { _ = cmd.Process.Kill() }
	if serve {
		serveControl(t, f.ControlDir(), d, together(d))
	}
	job, err := h.Find()
	if err != nil {
		t.Fatal(err)
	}
	return job, d
}

func TestStop(t *testing.T) {
	h := newHouse(t)
	job, d := running(t, h, true)
	last, report, err := h.Stop(t.Context(), job, noMounts)
	if err != nil || len(report) > 0 {
		t.Errorf("%v, %q", err, report)
	}
	if last == nil || last.State != Stopped || last.Totals.Requests != 5 {
		t.Errorf("the last counters: %+v", last)
	}
	if len(d.done) != 1 || d.done[0] != "unmount" {
		t.Errorf("it did %q", d.done)
	}
	gone(t, h.Bases[0])
	if job, err := h.Find(); err == nil {
		t.Errorf("after the stop there is %+v", job)
	}
}

// TestStopWithoutControl: daemons that do not answer are ended by signals, and it is said.
func TestStopWithoutControl(t *testing.T) {
	h := newHouse(t)
	job, _ := running(t, h, false)
	last, report, err := h.Stop(t.Context(), job, noMounts)
	if err != nil || last != nil {
		t.Errorf("%+v, %v", last, err)
	}
	for _, want := range []string{"does not answer", "sent SIGTERM to process"} {
		if !strings.Contains(strings.Join(report, "\n"), want) {
			t.Errorf("the report lacks %q: %q", want, report)
		}
	}
	gone(t, h.Bases[0])
}

func TestStatusAndClearOfAJob(t *testing.T) {
	h := newHouse(t)
	job, d := running(t, h, true)
	s, err := h.Status(t.Context(), job, true)
	if err != nil || len(s.Nodes) != 1 || s.State != Ready {
		t.Errorf("%+v, %v", s, err)
	}
	if n, err := h.Clear(t.Context(), job, "/a"); n != 6 || err != nil || !slices.Equal(d.done, []string{"hold /a", "clear /a"}) {
		t.Errorf("%d, %v, %q", n, err, d.done)
	}
	d.unclear = errors.New("somebody reads")
	if _, err := h.Clear(t.Context(), job, "/a"); err == nil || !strings.Contains(err.Error(), "somebody reads") {
		t.Errorf("clear that the kernel keeps waiting: %v", err)
	}
	if _, err := h.Clear(t.Context(), job, "a"); ExitCode(err) != ExitBadInput {
		t.Errorf("a relative prefix: %v", err)
	}
}

func TestStatusOfAJobThatStarts(t *testing.T) {
	h := newHouse(t)
	pid := fakeServe(t, "7").Process.Pid
	h.add("7", Starting, 0, Rank{0, "n1", pid, ""})
	job, err := h.Find()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Status(t.Context(), job, false); err == nil || !strings.Contains(err.Error(), "starting") {
		t.Errorf("%v, want how far it is", err)
	}
}
