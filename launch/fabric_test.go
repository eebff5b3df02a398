package launch

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// devices is a directory as the driver of CXI devices makes it.
func devices(t *testing.T, nids map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for device, nid := range nids {
		properties := filepath.Join(dir, device, "device", "properties")
		if err := os.MkdirAll(properties, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(properties, "nid"), []byte(nid+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fabricOf is a host with CXI devices, by name and NIC, that its libfabric has too. variables are the environment,
// as NAME=VALUE.
func fabricOf(t *testing.T, nids map[string]string, variables ...string) Fabric {
	t.Helper()
	return Fabric{
		Library: func() (FabricLibrary, error) { return FabricLibrary{"1.22", "/opt/libfabric.so.1"}, nil },
		Devices: func(provider string) (found []FabricDevice, err error) {
			if provider != "cxi" {
				return []FabricDevice{{Domain: "eth0"}}, nil
			}
			if len(nids) == 0 {
				return nil, errors.New("fi_getinfo: No data available")
			}
			for name := range nids {
				found = append(found, FabricDevice{Domain: name})
			}
			slices.SortFunc(found, func(a, b FabricDevice) int { return strings.Compare(a.Domain, b.Domain) })
			return found, nil
		},
		Sys: devices(t, nids), Getenv: environment(variables...),
	}
}

func environment(variables ...string) func(string) string {
	return func(name string) string {
		for _, v := range variables {
			if n, value, _ := strings.Cut(v, "="); n == name {
				return value
			}
		}
		return ""
	}
}

// withoutLibrary is a host whose libfabric can't be loaded.
func withoutLibrary(t *testing.T) Fabric {
	f := fabricOf(t, nil)
	f.Library = func() (FabricLibrary, error) {
		return FabricLibrary{}, errors.New("libfabric.so.1: cannot open shared object file")
	}
	return f
}

var twoNICs = map[string]string{"cxi0": "0x48b3", "cxi1": "0x3073"}

// TestFabricDevices: what is missing for a device is told in words.
func TestFabricDevices(t *testing.T) {
	unknown := fabricOf(t, twoNICs)
	unknown.Sys = t.TempDir()
	told := unknown
	told.Devices = func(string) ([]FabricDevice, error) {
		return []FabricDevice{{Domain: "cxi1", Address: "ofi+cxi://0x0060e6000a00"}}, nil
	}
	const step = "SLINGSHOT_VNIS=4034,4036"
	for name, c := range map[string]struct {
		Fabric
		device, want string
	}{
		"first":            {fabricOf(t, twoNICs), "cxi0", "ofi+cxi://0x00916700"},
		"second":           {fabricOf(t, twoNICs, step, "SLINGSHOT_DEVICES=cxi0,cxi1", "SLINGSHOT_SVC_IDS=11,12"), "cxi1", "ofi+cxi://0x0060e700"},
		"of libfabric":     {told, "cxi1", "ofi+cxi://0x0060e700"},
		"an older driver":  {olderDriver(t), "cxi0", "ofi+cxi://0x00916700"},
		"not built":        {Fabric{}, "cxi0", "this copper was built without libfabric"},
		"no library":       {withoutLibrary(t), "cxi0", "libfabric.so.1: cannot open shared object file"},
		"no provider":      {fabricOf(t, nil), "cxi0", "libfabric 1.22 (/opt/libfabric.so.1) has no provider cxi: fi_getinfo: No data available"},
		"no device":        {fabricOf(t, twoNICs), "cxi3", "no device cxi3 on this host, only cxi0 (NIC 0x48b3), cxi1 (NIC 0x3073)"},
		"no address":       {unknown, "cxi0", "the addresses of cxi0, cxi1 are not known"},
		"no share":         {fabricOf(t, twoNICs, step, "SLINGSHOT_DEVICES=cxi0", "SLINGSHOT_SVC_IDS=11"), "cxi1", "no service at cxi1: SLINGSHOT_DEVICES=cxi0"},
		"counts differ":    {fabricOf(t, twoNICs, step, "SLINGSHOT_DEVICES=cxi0,cxi1", "SLINGSHOT_SVC_IDS=11"), "cxi1", "named 2 CXI devices and 1 service for them"},
		"no network":       {fabricOf(t, twoNICs, "SLINGSHOT_DEVICES=cxi0,cxi1", "SLINGSHOT_SVC_IDS=11,12"), "cxi1", "without a virtual network (SLINGSHOT_VNIS not set "},
		"a network's name": {fabricOf(t, twoNICs, step), "cxi1", "without CXI devices and services"},
	} {
		got, err := c.Fabric.device(c.device)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || (err == nil) != strings.HasPrefix(c.want, "ofi+") {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// olderDriver names the property differently.
func olderDriver(t *testing.T) Fabric {
	f := fabricOf(t, twoNICs)
	properties := filepath.Join(f.Sys, "cxi0", "device", "properties")
	if err := os.Rename(filepath.Join(properties, "nid"), filepath.Join(properties, "nic_addr")); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMeet: all ranks of a job listen at endpoints of one kind.
func TestMeet(t *testing.T) {
	for name, c := range map[string]struct {
		hosts     string
		endpoints [][]string
		want      string // endpoints by rank, or the error
	}{
		"tcp":              {"a b", [][]string{{"tcp://1", "tcp://2"}, {"tcp://3"}}, "tcp://1,tcp://2 tcp://3"},
		"cxi":              {"a b", [][]string{{"ofi+cxi://0x00000200", "tcp://1"}, {"cxi://0x00000400", "tcp://2"}}, "ofi+cxi://0x00000200 ofi+cxi://0x00000400"},
		"one falls back":   {"a b", [][]string{{"ofi+cxi://0x00000200", "tcp://1"}, {"tcp://2"}}, "tcp://1 tcp://2"},
		"the first does":   {"a b", [][]string{{"tcp://1"}, {"ofi+cxi://0x00000200", "tcp://2"}}, "tcp://1 tcp://2"},
		"sharing a device": {"a a b a", [][]string{{"ofi+cxi://0x00000205"}, {"ofi+cxi://0x00000205"}, {"ofi+cxi://0x00000405"}, {"ofi+cxi://0x00000205"}}, "ofi+cxi://0x00000205 ofi+cxi://0x00000206 ofi+cxi://0x00000405 ofi+cxi://0x00000207"},
		"too many share":   {"a a", [][]string{{"ofi+cxi://0x000003fe"}, {"ofi+cxi://0x000003fe"}}, "PIDs end at 510"},
		"one's twice":      {"a b", [][]string{{"ofi+cxi://0x00000200"}, {"ofi+cxi://0x00000200"}}, "hosts a and b have the same endpoint ofi+cxi://0x00000200"},
		"nothing in common": {"a b b c d", [][]string{{"ofi+cxi://0x00000200"}, {"tcp://1"}, {"tcp://2"}, {"ofi+net://1"}, {"tcp://3"}},
			"a by ofi+cxi; b, d by tcp; c by ofi+net: give all of them the same -n"},
	} {
		got, err := Meet(strings.Fields(c.hosts), c.endpoints)
		var all []string
		for _, endpoints := range got {
			all = append(all, strings.Join(endpoints, ","))
		}
		text := strings.Join(all, " ")
		if err != nil {
			text = err.Error()
		}
		if err != nil && ExitCode(err) != ExitBadInput || !strings.Contains(text, c.want) || err == nil && text != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want)
		}
	}
}
