package launch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNetworkFallsBack(t *testing.T) {
	has := func(iface string) bool { return iface == "hsn1" }
	for text, want := range map[string]string{
		"cxi": "tcp://", "cxi0": "tcp://", "cxi1": "tcp://hsn1", "cxi://cxi1": "tcp://hsn1", "cxi7": "tcp://", "tcp": "tcp://", "tcp://lo": "tcp://lo",
		"ofi+tcp": "tcp://", "ofi+net://127.0.0.1:7": "tcp://127.0.0.1:7",
	} {
		n, err := parseNetwork(text)
		if got := n.overTCP(has); err != nil || got.scheme+"://"+got.place != want {
			t.Errorf("%s: %+v, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"cxi": "take -n tcp://hsn0 ", "cxi3": "take -n tcp://hsn3 ", "cxi://cxi1": "take -n tcp://hsn1 ", "ofi+tcp": "take -n tcp "} {
		if _, err := (Addressing{Mode: Discover, Network: text}).On("n1"); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"cxi8", "cxi://", "cxi-1", "cxi://hsn0", "cxi01", "udp", "", "ofi+cxi", "ofi+cxi://cxi0", "ofi+udp://", "ofi+tcp:x", "ofi+tcp://a|b", "tcp:x", "tcp://a/b", "ofi+", "://x"} {
		for _, fallback := range []bool{false, true} {
			a := Addressing{Mode: Discover, Network: text, Fallback: fallback}
			if err := a.Check(); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "want tcp, ") {
				t.Errorf("%q: %v", text, err)
			}
			if _, err := a.On("n1"); ExitCode(err) != ExitBadInput {
				t.Errorf("%q: %v", text, err)
			}
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
	cxi := write("cxi", "n1 ofi+cxi://0x00916600\nn2 tcp://10.0.0.2\nn3 cxi://0x00000200\n")
	has := fabricOf(t, twoNICs)
	broken, tried := has, []string{}
	broken.Trial = func(endpoint string) error {
		tried = append(tried, endpoint)
		return errors.New("fi_domain: Function not implemented")
	}
	taken := has
	taken.Trial = func(endpoint string) error {
		if strings.HasSuffix(endpoint, "00") { // PIDs 0 and 256
			return errors.New("fi_enable: No space left on device")
		}
		return nil
	}
	opens := has
	opens.Trial = func(string) error { return nil }
	for name, c := range map[string]struct {
		Addressing
		host string
		mode string // "": an error
		want string // endpoints, with those instead behind a bar, or the error
		warn string
	}{
		"facility":        {Addressing{Facility, tcp, "tcp", false, Fabric{}}, "n1.x", Facility, "tcp://10.0.0.1 tcp://10.1.0.1:7", ""},
		"second":          {Addressing{Facility, tcp, "tcp", false, Fabric{}}, "n2", Facility, "tcp://10.0.0.2", ""},
		"not in the book": {Addressing{Facility, tcp, "tcp", true, Fabric{}}, "n3", "", "no line for host n3", ""},
		"no book":         {Addressing{Facility, "", "tcp://10.0.0.9", false, Fabric{}}, "n1", Discover, "tcp://10.0.0.9", "no facility address book"},
		"missing":         {Addressing{Facility, tcp + "x", "tcp", true, Fabric{}}, "n1", "", "no such file", ""},
		"foreign":         {Addressing{Facility, cxi, "tcp", false, has}, "n1", "", "host n1 has endpoint ofi+cxi://0x00916600, and -n tcp asks for another network: take a newer one with -F, or -a discover", ""},
		"foreign, falls":  {Addressing{Facility, cxi, "tcp://10.0.0.9", true, has}, "n1", Discover, "tcp://10.0.0.9", "has endpoint ofi+cxi"},
		"discover":        {Addressing{Discover, tcp, "tcp://10.0.0.9", false, Fabric{}}, "n1", Discover, "tcp://10.0.0.9", ""},

		"cxi":                     {Addressing{Discover, "", "cxi", false, has}, "n1", Discover, "ofi+cxi://0x00916700", ""},
		"cxi1":                    {Addressing{Discover, cxi, "cxi://cxi1", true, has}, "n1", Discover, "ofi+cxi://0x0060e700 | tcp://", ""},
		"without libfabric":       {Addressing{Facility, cxi, "cxi", false, Fabric{}}, "n1", "", "network cxi: this copper was built without libfabric: take -n tcp://hsn0", ""},
		"without, falls":          {Addressing{Facility, cxi, "cxi", true, withoutLibrary(t)}, "n1", Discover, "tcp://", "network cxi: libfabric.so.1: cannot open shared object file: all nodes use TCP instead"},
		"without a device":        {Addressing{Discover, "", "cxi3", false, has}, "n1", "", "network cxi3: libfabric has no device cxi3 on this host, only cxi0 (NIC 0x48b3), cxi1 (NIC 0x3073): take -n tcp://hsn3", ""},
		"without a device, falls": {Addressing{Discover, "", "cxi3", true, has}, "n1", Discover, "tcp://", "no device cxi3"},
		"facility's cxi":          {Addressing{Facility, cxi, "cxi1", true, has}, "n1", Facility, "ofi+cxi://0x00916600 | tcp://", ""},
		"another host's":          {Addressing{Facility, cxi, "cxi", false, has}, "n3", "", "host n3 has endpoint cxi://0x00000200: that is NIC 0x0001, and this host has cxi0 (NIC 0x48b3), cxi1 (NIC 0x3073): take a newer one", ""},
		"another host's, falls":   {Addressing{Facility, cxi, "cxi1", true, has}, "n3", Discover, "ofi+cxi://0x0060e700 | tcp://", "NIC 0x0001"},
		"tcp in a book for cxi":   {Addressing{Facility, cxi, "cxi", false, has}, "n2", "", "tcp://10.0.0.2, and -n cxi asks for another network", ""},
		"refused":                 {Addressing{Discover, "", "cxi1", false, broken}, "n1", "", "network cxi1: fi_domain: Function not implemented: take -n tcp://hsn1", ""},
		"refused, falls":          {Addressing{Discover, cxi, "cxi1", true, broken}, "n1", Discover, "tcp://", "network cxi1: fi_domain: Function not implemented: all nodes"},
		"the book's PID":          {Addressing{Facility, cxi, "cxi", false, opens}, "n1", Facility, "ofi+cxi://0x00916600", ""},
		"the book's PID is taken": {Addressing{Facility, cxi, "cxi", false, taken}, "n1", Facility, "ofi+cxi://0x00916700", "its PIDs are in use, by MPI maybe: 256 instead"},
		"a PID of our own":        {Addressing{Discover, cxi, "cxi", false, taken}, "n1", Discover, "ofi+cxi://0x00916700", ""},
		"for trials":              {Addressing{Discover, "", "ofi+tcp://10.0.0.9", true, has}, "n1", Discover, "ofi+tcp://10.0.0.9 | tcp://10.0.0.9", ""},
		"for trials, without":     {Addressing{Discover, "", "ofi+net", false, Fabric{}}, "n1", "", "network ofi+net: this copper was built without libfabric: take -n tcp ", ""},
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
		endpoints, instead, _ := strings.Cut(c.want, " | ")
		if got.Mode != c.mode || !slices.Equal(got.Endpoints, strings.Fields(endpoints)) || !slices.Equal(got.Instead, strings.Fields(instead)) ||
			(c.mode == Facility) != (got.Book != nil) || !strings.Contains(said, c.warn) || (said == "") != (c.warn == "") {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
		if warnings, err := c.Preview(c.host); !slices.Equal(warnings, got.Warnings) || err != nil {
			t.Errorf("%s: the preview says %q, %v", name, warnings, err)
		}
		if warnings, err := c.Preview(""); len(warnings) > 0 || err != nil {
			t.Errorf("%s: the preview on another host says %q, %v", name, warnings, err)
		}
	}
	for _, e := range tried {
		if address, err := ParseCXI(e); err != nil || address.PID <= quietPID || address.PID > mostPID {
			t.Errorf("tried %s, which others on this host may be trying", e)
		}
	}
	if len(tried) == 0 {
		t.Error("nothing was tried")
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
