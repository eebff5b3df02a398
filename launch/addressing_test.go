package launch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNetworkFallsBack(t *testing.T) {
	has := func(iface string) bool { return iface == "hsn1" }
	for network, want := range map[string]string{
		"cxi": "tcp", "cxi0": "tcp", "cxi1": "tcp://hsn1", "cxi://cxi1": "tcp://hsn1", "cxi7": "tcp", "tcp": "tcp", "tcp://lo": "tcp://lo",
	} {
		a, warnings, err := Addressing{Mode: Discover, Network: network, Fallback: true}.resolve(has)
		if err != nil || a.Network != want || len(warnings) != 1 && network[0] == 'c' || len(warnings) != 0 && network[0] != 'c' {
			t.Errorf("%s: %+v, %q, %v; want %s", network, a, warnings, err, want)
		}
	}
	for network, want := range map[string]string{
		"cxi": "take -n tcp://hsn0 ", "cxi3": "take -n tcp://hsn3 ", "cxi://cxi1": "take -n tcp://hsn1 ",
		"cxi8": "want tcp", "cxi://": "want tcp", "cxi-1": "want tcp", "cxi://hsn0": "want tcp", "cxi01": "want tcp", "udp": "want tcp", "": "want tcp",
	} {
		a := Addressing{Mode: Discover, Network: network}
		if err := a.Check(); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", network, err, want)
		}
		if a.Fallback = true; strings.Contains(want, "want") && a.Check() == nil {
			t.Errorf("%q is accepted", network)
		}
	}
}

func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tcp := write("tcp", "n1 tcp://10.0.0.1 tcp://10.1.0.1:7\nn2 tcp://10.0.0.2\n")
	cxi := write("cxi", "n1 ofi+cxi://0x00916600\nn2 tcp://10.0.0.2\n")
	for name, c := range map[string]struct {
		Addressing
		host string
		mode string // "": an error
		want string // endpoints, or the error
		warn string
	}{
		"facility":        {Addressing{Facility, tcp, "tcp", false}, "n1.x", Facility, "tcp://10.0.0.1 tcp://10.1.0.1:7", ""},
		"second":          {Addressing{Facility, tcp, "tcp", false}, "n2", Facility, "tcp://10.0.0.2", ""},
		"not in the book": {Addressing{Facility, tcp, "tcp", true}, "n3", "", "no line for host n3", ""},
		"no book":         {Addressing{Facility, "", "tcp://10.0.0.9", false}, "n1", Discover, "tcp://10.0.0.9", "no facility address book"},
		"missing":         {Addressing{Facility, tcp + "x", "tcp", true}, "n1", "", "no such file", ""},
		"foreign":         {Addressing{Facility, cxi, "tcp", false}, "n1", "", "host n1 has endpoint ofi+cxi://0x00916600, and this copper speaks only tcp", ""},
		"foreign, falls":  {Addressing{Facility, cxi, "tcp://10.0.0.9", true}, "n1", Discover, "tcp://10.0.0.9", "has endpoints such as ofi+cxi"},
		"cxi":             {Addressing{Facility, cxi, "cxi", false}, "n1", "", "take -n tcp://hsn0", ""},
		"discover":        {Addressing{Discover, tcp, "tcp://10.0.0.9", false}, "n1", Discover, "tcp://10.0.0.9", ""},
	} {
		got, err := c.On(c.host)
		if c.mode == "" {
			if ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		said := strings.Join(got.Warnings, "\n")
		if got.Mode != c.mode || !slices.Equal(got.Endpoints, strings.Fields(c.want)) || (c.mode == Facility) != (got.Book != nil) ||
			!strings.Contains(said, c.warn) || (said == "") != (c.warn == "") {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
		if warnings, err := c.Preview(); !slices.Equal(warnings, got.Warnings) || err != nil {
			t.Errorf("%s: the preview says %q, %v", name, warnings, err)
		}
	}
}

// TestRanksThatLog: few ranks of a large job write files, unless there is something to be said.
func TestRanksThatLog(t *testing.T) {
	for _, c := range []struct{ level, rank, ranks, want int }{
		{4, 0, 10624, 4}, {4, 7, 10624, 3}, {5, 7, 10624, 5}, {2, 7, 10624, 2}, {0, 7, 10624, 0}, {4, 511, 512, 4}, {4, 1, 513, 3},
	} {
		if got := RankLogLevel(c.level, c.rank, c.ranks); got != c.want {
			t.Errorf("-l %d, rank %d of %d: level %d, want %d", c.level, c.rank, c.ranks, got, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "n1-7-output.log")
	log, file := NewLog(RankLogLevel(4, 7, 10624), LogFile, path, nil)
	log.Info("provider registration completed after 17 us")
	if _, err := os.Lstat(path); err == nil {
		t.Error("a file for nothing of interest")
	}
	log.Warn("look")
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
