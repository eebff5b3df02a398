package launch

import (
	"slices"
	"strings"
	"testing"
)

func TestExpandHostlist(t *testing.T) {
	for list, want := range map[string]string{
		"":                             "",
		"n1":                           "n1",
		"n1,n2":                        "n1 n2",
		"n[1-3]":                       "n1 n2 n3",
		"n[001-004,7]":                 "n001 n002 n003 n004 n7",
		"n[08-11]":                     "n08 n09 n10 n11",
		"n[8-11]":                      "n8 n9 n10 n11",
		"n[3,1]":                       "n3 n1",
		"login,n[1-2]-ib,gpu[9-10]":    "login n1-ib n2-ib gpu9 gpu10",
		"x1000c[0-1]s[6-7]b0n0":        "x1000c0s6b0n0 x1000c0s7b0n0 x1000c1s6b0n0 x1000c1s7b0n0",
		"x[1000,1002]c0s[0-1]b[0-1]n0": "x1000c0s0b0n0 x1000c0s0b1n0 x1000c0s1b0n0 x1000c0s1b1n0 x1002c0s0b0n0 x1002c0s0b1n0 x1002c0s1b0n0 x1002c0s1b1n0",
		"frontier[00001-00003]\n":      "frontier00001 frontier00002 frontier00003",
		"n[0-0]":                       "n0",
	} {
		if got, err := ExpandHostlist(list); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v; want %s", list, got, err, want)
		}
	}
	for _, wrong := range []string{"n[", "n]", "n[1", "n1]", "n[]", "n[a]", "n[1-]", "n[-1]", "n[3-1]", "n[1-2-3]", "n[[1]]", "n[1]]", "n[1,]",
		"n[1-99999999999999999999]", "n[0-9999999]", "n[0-999]x[0-999]", "n[1-2],x[0-99998]", "n[18446744073709551615]"} {
		if got, err := ExpandHostlist(wrong); err == nil {
			t.Errorf("%q: %d hosts", wrong, len(got))
		} else if !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v does not name it", wrong, err)
		}
	}
	got, err := ExpandHostlist("x4[000-399]c[0-7]s[0-1]b0n[0-3]")
	if err != nil || len(got) != 25600 || got[25599] != "x4399c7s1b0n3" || !slices.IsSorted(got) {
		t.Errorf("a machine: %d hosts, %v", len(got), err)
	}
}

func FuzzExpandHostlist(f *testing.F) {
	for _, s := range []string{"n[001-004,7]", "x1000c[0-7]s[0-7]b0n0", "a,b[1]", "n[1-99999]", "]["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := ExpandHostlist(list)
		if err == nil && len(hosts) > maxHosts {
			t.Errorf("%d hosts", len(hosts))
		}
		for _, h := range hosts {
			if h == "" || strings.ContainsAny(h, "[]") {
				t.Errorf("host %q", h)
			}
		}
	})
}
