package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestSweepOthers: all at once, and where that fails because a host is down, one by one.
func TestSweepOthers(t *testing.T) {
	var mu sync.Mutex // of asked
	var asked [][]string
	f := Finder{Host: "n1", Others: &Others{
		Hosts: []string{"n1.cm", "n2.cm", "n3.cm", "n4.cm"},
		Command: func(id string, some []string) Command {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, some)
			script := fmt.Sprintf("echo %s swept on %s", id, strings.Join(some, "+"))
			for _, h := range some {
				script += fmt.Sprintf("; echo %s: %s; echo %[1]s: %s", shortened(h), Reached, Swept)
			}
			if slices.Contains(some, "n3.cm") {
				script = "echo n3 is down >&2; exit 1"
			}
			return Command{Args: []string{"/bin/sh", "-c", script}}
		},
	}}
	for _, c := range []struct {
		short  []string
		want   string
		silent string
	}{
		{[]string{"n2", "n4"}, "7 swept on n2.cm+n4.cm", "[]"},
		{nil, "7 swept on n2.cm|n3.cm could not be cleared: /bin/sh: exit status 1: n3 is down|7 swept on n4.cm", "[n3.cm]"},
		{[]string{"n3"}, "n3.cm could not be cleared: /bin/sh: exit status 1: n3 is down", "[]"}, // or the launcher doesn't work
		{[]string{"n1"}, "", "[]"},
		{[]string{"n9"}, "", "[]"},
	} {
		report, silent := f.sweepOthers(context.Background(), "7", c.short)
		if got := strings.Join(report, "|"); got != c.want || fmt.Sprint(silent) != c.silent {
			t.Errorf("%v: %s, silent %v; want %s, %s", c.short, got, silent, c.want, c.silent)
		}
	}
	if want := "[[n2.cm n4.cm] [n2.cm n3.cm n4.cm]"; !strings.HasPrefix(fmt.Sprint(asked), want) || len(asked) != 6 {
		t.Errorf("asked %v, want %s and each by itself", asked, want)
	}
	asked = nil
	f.Others.Down = func(context.Context) []string { return []string{"n3.cm"} }
	report, silent := f.sweepOthers(context.Background(), "7", nil)
	if got := strings.Join(report, "|"); got != "n3.cm could not be cleared: it is down|7 swept on n2.cm+n4.cm" || fmt.Sprint(silent) != "[n3.cm]" || len(asked) != 1 {
		t.Errorf("with one that is known to be down: %s, silent %v, asked %v", got, silent, asked)
	}
	f.Others = nil
	if got, _ := f.sweepOthers(context.Background(), "7", nil); got != nil {
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
