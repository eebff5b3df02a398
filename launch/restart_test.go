package launch

import (
	"testing"
	"time"
)

func TestRestartPolicy(t *testing.T) {
	policy := RestartPolicy{Most: 5, Window: time.Minute, Pause: time.Second, Longest: 3 * time.Second}
	type death struct {
		at    time.Duration // since the start
		pause time.Duration // -1: no start again
	}
	for name, deaths := range map[string][]death{
		"in a row":           {{0, 0}, {1, 1}, {3, 2}, {6, 3}, {10, 3}, {14, -1}, {15, -1}},
		"now and then":       {{0, 0}, {60, 0}, {120, 0}, {180, 0}, {240, 0}, {300, 0}, {360, 0}},
		"the first too old":  {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {60, 3}, {60, -1}},
		"quiet after a row":  {{0, 0}, {1, 1}, {2, 2}, {100, 0}, {101, 1}},
		"given up, and back": {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 3}, {0, -1}, {60, 0}},
	} {
		r := restarts{policy: policy}
		began := time.Now()
		for i, d := range deaths {
			pause, ok := r.next(began.Add(d.at * time.Second))
			if !ok {
				pause = -time.Second
			}
			if pause != d.pause*time.Second {
				t.Errorf("%s: death %d: pause %v, want %v", name, i, pause, d.pause*time.Second)
			}
		}
	}
}

func TestNoRestarts(t *testing.T) {
	r := restarts{policy: RestartPolicy{Window: time.Minute}}
	if _, ok := r.next(time.Now()); ok {
		t.Error("a policy of no restarts restarts")
	}
}
