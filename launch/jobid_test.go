package launch

import (
	"strings"
	"testing"
	"time"
)

func TestSchedulerID(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"PBS_JOBID": "1234567.aurora-pbs-0001.host"}, "1234567"},
		{map[string]string{"PBS_JOBID": "12[3].n1"}, "12[3]"},
		{map[string]string{"SLURM_JOB_ID": "42"}, "42"},
		{map[string]string{"PBS_JOBID": "1.n1", "SLURM_JOB_ID": "42"}, "1"},
	} {
		got := SchedulerID(func(name string) string { return c.env[name] })
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.env, got, c.want)
		}
		if got != "" && CheckID(got) != nil {
			t.Errorf("%q: %v", got, CheckID(got))
		}
	}
}

func TestLocalIDs(t *testing.T) {
	stamp := StampID(time.Date(2026, 11, 21, 10, 43, 55, 0, time.Local), 4711)
	if stamp != "local-20261121-104355-4711" {
		t.Errorf("stamp %q", stamp)
	}
	long := RankID(strings.Repeat("n", 300), 4194304)
	for _, id := range []string{stamp, RankID("n1", 17), long} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestCheckID(t *testing.T) {
	for _, id := range []string{"", ".", "..", "a/b", "-x", ".hidden", "a b", "a\n", "ä", strings.Repeat("1", 65)} {
		if err := CheckID(id); ExitCode(err) != ExitBadInput {
			t.Errorf("%q: %v, want bad input", id, err)
		}
	}
}
