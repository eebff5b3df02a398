package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSweepOthers: all at once, and where that fails because a host is down, one by one.
func TestSweepOthers(t *testing.T) {
	var asked [][]string
	f := Finder{Host: "n1", Others: &Others{
		Hosts: []string{"n1.cm", "n2.cm", "n3.cm", "n4.cm"},
		Command: func(id string, some []string) Command {
			asked = append(asked, some)
			script := fmt.Sprintf("echo %s swept on %s", id, strings.Join(some, "+"))
			if slices.Contains(some, "n3.cm") {
				script = "echo n3 is down >&2; exit 1"
			}
			return Command{Args: []string{"/bin/sh", "-c", script}}
		},
	}}
	for _, c := range []struct {
		short []string
		want  string
	}{
		{[]string{"n2", "n4"}, "7 swept on n2.cm+n4.cm"},
		{nil, "7 swept on n2.cm|n3.cm could not be cleared: /bin/sh: exit status 1: n3 is down|7 swept on n4.cm"},
		{[]string{"n3"}, "n3.cm could not be cleared: /bin/sh: exit status 1: n3 is down"},
		{[]string{"n1"}, ""},
		{[]string{"n9"}, ""},
	} {
		if got := strings.Join(f.sweepOthers(context.Background(), "7", c.short), "|"); got != c.want {
			t.Errorf("%v: %s; want %s", c.short, got, c.want)
		}
	}
	if want := "[[n2.cm n4.cm] [n2.cm n3.cm n4.cm] [n2.cm] [n3.cm] [n4.cm] [n3.cm]]"; fmt.Sprint(asked) != want {
		t.Errorf("asked %v, want %s", asked, want)
	}
	f.Others = nil
	if got := f.sweepOthers(context.Background(), "7", nil); got != nil {
		t.Errorf("nobody to ask: %v", got)
	}
}

func TestRankOn(t *testing.T) {
	hosts := []string{"x1.cm.example", "x2", "x10"}
	for short, want := range map[string]int{"x1": 0, "x2": 1, "x10": 2, "x": -1, "": -1} {
		if got := RankOn(hosts, short); got != want {
			t.Errorf("%s: %d, want %d", short, got, want)
		}
	}
}
