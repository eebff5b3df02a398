package launch

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	for template, want := range map[string]string{
		"/tmp/x": "/tmp/x", "/tmp/{rank}": "/tmp/3", "/{host}/{rank}/{host}": "/n1/3/n1", "/{other}": "/{other}",
	} {
		if got := Fill(template, 3, "n1"); got != want {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
}

func TestFillMounts(t *testing.T) {
	t.Setenv("USER", "alice")
	alone := []Rank{{Rank: 0, Host: "n1"}, {Rank: 1, Host: "n2", Mount: "/mnt/x"}}
	FillMounts(alone)
	if alone[0].Mount != "/tmp/alice/copper" || alone[1].Mount != "/mnt/x" {
		t.Errorf("one rank a host: %v", alone)
	}
	sharing := []Rank{{Rank: 0, Host: "n1"}, {Rank: 1, Host: "n2"}, {Rank: 2, Host: "n2"}}
	FillMounts(sharing)
	for i, r := range sharing {
		if r.Mount != fmt.Sprintf("/tmp/alice/copper-%d", i) {
			t.Errorf("rank %d of a shared host: %s", i, r.Mount)
		}
	}
	for _, user := range []string{"", "../etc", "..", "a/b"} {
		t.Setenv("USER", user)
		if mount := DefaultMount(false); filepath.Dir(filepath.Dir(mount)) != "/tmp" || strings.Contains(mount, "..") {
			t.Errorf("USER=%q: %s", user, mount)
		}
	}
}

func TestSharedMount(t *testing.T) {
	for _, c := range []struct {
		ranks []Rank
		clash int
	}{
		{[]Rank{{0, "n1", 1, "/m"}}, -1},
		{[]Rank{{0, "n1", 1, "/m"}, {1, "n2", 2, "/m"}}, -1},
		{[]Rank{{0, "n1", 1, "/m0"}, {1, "n1", 2, "/m1"}}, -1},
		{[]Rank{{0, "n1", 1, "/m"}, {1, "n2", 2, "/m"}, {2, "n1", 3, "/m"}, {3, "n2", 4, "/m"}}, 2},
		{[]Rank{{0, "n1", 1, "/a/../m"}, {1, "n1", 2, "/m/"}}, 1},
	} {
		clash, err := SharedMount(c.ranks)
		if clash != c.clash || (err != nil) != (clash >= 0) {
			t.Errorf("%v: rank %d, %v; want rank %d", c.ranks, clash, err, c.clash)
		}
		if err != nil && (ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "{rank}")) {
			t.Errorf("%v, want bad input that names {rank}", err)
		}
	}
}

func TestCheckTarget(t *testing.T) {
	if err := CheckTarget(t.TempDir()); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"/nonexistent", "/proc/self/status"} {
		if err := CheckTarget(dir); ExitCode(err) != ExitBadInput || strings.Count(err.Error(), dir) != 1 {
			t.Errorf("%s: %v, want bad input that names it once", dir, err)
		}
	}
}

func TestMountList(t *testing.T) {
	var ranks []Rank
	for i := range 10 {
		ranks = append(ranks, Rank{Mount: fmt.Sprint("/m", i)}, Rank{Mount: "/m0"})
	}
	if got := MountList(ranks); got != "/m0 /m1 /m2 … /m9 (10)" {
		t.Error(got)
	}
	if got := MountList(ranks[:4]); got != "/m0 /m1" {
		t.Error(got)
	}
}
