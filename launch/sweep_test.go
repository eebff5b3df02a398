package launch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSweepBy: hosts that give no sign of life are given up, and named; those that do are waited for.
func TestSweepBy(t *testing.T) {
	const soon, late = 200 * time.Millisecond, time.Minute
	for name, c := range map[string]struct {
		script string
		reach  time.Duration
		said   string
		silent []string
		err    string
	}{
		"all is well":      {"echo n2: is reached; echo n3: is reached; echo n3: sent SIGTERM; echo n3: is swept; echo n2: is swept", late, "n3: sent SIGTERM", nil, ""},
		"one is silent":    {"echo n2: is reached; echo n2: is swept; exec sleep 600", soon, "", []string{"n3"}, "no sign of life within"},
		"one takes longer": {"echo n2: is reached; sleep 0.5; echo n2: a line; echo n2: is swept; exec sleep 600", soon, "n2: a line", []string{"n3"}, "no sign of life within"},
		"all are silent":   {"exec sleep 600", soon, "", []string{"n2", "n3"}, "no sign of life within"},
		"a pipe is held":   {"echo n2: is reached; echo n3: is reached; sleep 5 & echo n2: is swept; echo n3: is swept; wait", soon, "", nil, ""},
		"it fails":         {"echo no such option >&2; exit 3", late, "", []string{"n2", "n3"}, "exit status 3: no such option"},
	} {
		began := time.Now()
		s := (Finder{}).sweepBy(t.Context(), Command{Args: []string{"/bin/sh", "-c", c.script}}, c.reach, []string{"n2", "n3"})
		if fmt.Sprint(s.silent) != fmt.Sprint(c.silent) || strings.Join(s.said, "|") != c.said || (s.err == nil) != (c.err == "") || s.err != nil && !strings.Contains(s.err.Error(), c.err) {
			t.Errorf("%s: %+v; want %+v", name, s, c)
		}
		if took := time.Since(began); took > sweepBound/2 {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestDownAmong(t *testing.T) {
	a := Allocation{Hosts: []string{"n1.cm", "n2.cm", "n3.cm", "n4.cm", "n5.cm"}}
	for out, want := range map[string][]string{
		"n1 mixed*\nn2 down*\nn2 down*\nn3 down\nn4 draining\nn5 drained\nn9 down\n":   {"n2.cm", "n3.cm"},          // sinfo
		"n1.cm   down\nn2   state-unknown,down\nn3 offline\nn4 offline,down a comment": {"n1.cm", "n2.cm", "n4.cm"}, // pbsnodes
		"": nil, "\nn1\n": nil,
	} {
		if got := a.downAmong(out); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", out, got, want)
		}
	}
	if hosts := (Allocation{}).Down(t.Context()); hosts != nil {
		t.Errorf("without a scheduler: %v", hosts)
	}
}
