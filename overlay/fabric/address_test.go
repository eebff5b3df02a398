package fabric

import (
	"bytes"
	"strings"
	"testing"
)

// TestCXIAddresses: what the books of Aurora and Frontier have in them.
func TestCXIAddresses(t *testing.T) {
	for _, c := range []struct {
		endpoint string
		bytes    []byte
		nic, pid uint32
	}{
		{"ofi+cxi://0x00916600", []byte{0x00, 0x66, 0x91, 0x00}, 0x48B3, 0},
		{"ofi+cxi://0x0060e600", []byte{0x00, 0xe6, 0x60, 0x00}, 0x3073, 0},
		{"ofi+cxi://0x00916605", []byte{0x05, 0x66, 0x91, 0x00}, 0x48B3, 5},
		{"ofi+cxi://0x1fffffff", []byte{0xff, 0xff, 0xff, 0x1f}, 0xfffff, 511},
		{"ofi+cxi://0x009166050a000000", []byte{0x05, 0x66, 0x91, 0x00, 0x0a, 0, 0, 0}, 0x48B3, 5}, // with a VNI
	} {
		scheme, address, err := parse(c.endpoint)
		if err != nil || scheme != "ofi+cxi" || !bytes.Equal(address, c.bytes) {
			t.Errorf("%s: %s, % x, %v", c.endpoint, scheme, address, err)
		}
		if nic, pid := nicOf(address); nic != c.nic || pid != c.pid {
			t.Errorf("%s: NIC %#x, PID %d", c.endpoint, nic, pid)
		}
		if got := format(scheme, address); got != c.endpoint {
			t.Errorf("%s becomes %s", c.endpoint, got)
		}
	}
}

func TestIPAddresses(t *testing.T) {
	for _, endpoint := range []string{"ofi+tcp://10.1.2.3:7400", "ofi+net://[fd00::2]:1", "ofi+tcp://127.0.0.1:65535"} {
		scheme, address, err := parse(endpoint)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
		} else if got := format(scheme, address); got != endpoint {
			t.Errorf("%s becomes %s", endpoint, got)
		}
	}
}

func TestWrongEndpoints(t *testing.T) {
	for _, endpoint := range []string{
		"", "tcp://127.0.0.1:1", "ofi+cxi", "ofi+verbs://1", "ofi+cxi://", "ofi+cxi://0x", "ofi+cxi://00916600", "ofi+cxi://0x0091660",
		"ofi+cxi://0x20000000", "ofi+cxi://0x0091660g", "ofi+cxi://0x009166001", "ofi+cxi://0x" + strings.Repeat("00", 65), "ofi+cxi://cxi0",
		"ofi+tcp://127.0.0.1", "ofi+tcp://127.0.0.1:0", "ofi+tcp://localhost:1", "ofi+tcp://127.0.0.1:65536", "ofi+tcp://[fe80::1%lo]:1",
	} {
		if _, address, err := parse(endpoint); err == nil || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("dial %q: % x, %v", endpoint, address, err)
		}
	}
	for _, endpoint := range []string{
		"", "tcp://127.0.0.1", "ofi+cxi://", "ofi+cxi://hsn0", "ofi+cxi://cxi", "ofi+cxi://cxi0:511", "ofi+cxi://0x009167ff", "ofi+cxi://cxi0:", "ofi+cxi://0x20000000",
		"ofi+tcp://no-such-interface", "ofi+tcp://127.0.0.1:port",
	} {
		if at, err := siteOf(endpoint); err == nil || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("listen at %q: %+v, %v", endpoint, at, err)
		}
	}
}

func TestSites(t *testing.T) {
	for endpoint, want := range map[string]site{
		"ofi+cxi://cxi0":         {"ofi+cxi", "cxi", "cxi0", "cxi0", "0"},
		"ofi+cxi://cxi7:510":     {"ofi+cxi", "cxi", "cxi7", "cxi7", "510"},
		"ofi+tcp://127.0.0.1:12": {"ofi+tcp", "tcp;ofi_rxm", "", "127.0.0.1", "12"},
		"ofi+net://lo":           {"ofi+net", "net", "", "127.0.0.1", "0"},
		"ofi+tcp://[::1]:12":     {"ofi+tcp", "tcp;ofi_rxm", "", "::1", "12"},
	} {
		if got, err := siteOf(endpoint); err != nil || got != want {
			t.Errorf("%s: %+v, %v", endpoint, got, err)
		}
	}
}

// TestNICs: the device of an address in a book is the one whose NIC it names.
func TestNICs(t *testing.T) {
	found := []rawDevice{
		{Device{Domain: "cxi0"}, []byte{0xff, 0x67, 0x91, 0x00}},
		{Device{Domain: "cxi1"}, []byte{0x00, 0xe6, 0x60, 0x00, 0, 0, 0, 0}},
		{Device{Domain: "cxi1"}, []byte{0x00, 0xe6, 0x60, 0x00}},
	}
	if domain, err := domainOf(0x3073, found); err != nil || domain != "cxi1" {
		t.Errorf("%q, %v", domain, err)
	}
	_, err := domainOf(0x11111, found)
	if err == nil || !strings.Contains(err.Error(), "0x11111: cxi0 is 0x048b3, cxi1 is 0x03073") {
		t.Errorf("no such NIC: %v", err)
	}
	if got := anyProcess("cxi", found[0].address); got != "ofi+cxi://0x00916600" {
		t.Errorf("a device's address: %s", got)
	}
}

// TestIdentity: padding is none of it.
func TestIdentity(t *testing.T) {
	_, address, _ := parse("ofi+cxi://0x00916605")
	if a, b := identity(schemeCXI, address), identity(schemeCXI, []byte{5, 0x66, 0x91, 0xe0, 0x0a, 0, 7, 7}); a != b {
		t.Errorf("% x and % x", a, b)
	}
	_, address, _ = parse("ofi+tcp://127.0.0.1:7400")
	if a, b := identity(schemeTCP, address), identity(schemeTCP, append(address[:8:8], 1, 2, 3, 4, 5, 6, 7, 8)); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

// TestShortAddress: what the books don't say of an address is taken from one's own.
func TestShortAddress(t *testing.T) {
	_, address, _ := parse("ofi+cxi://0x00916600")
	own := []byte{1, 2, 3, 4, 0x0a, 0, 0, 7}
	if got := complete(schemeCXI, address, own); !bytes.Equal(got, []byte{0, 0x66, 0x91, 0, 0x0a, 0, 0, 7}) {
		t.Errorf("% x", got)
	}
	if got := complete(schemeCXI, own, address); !bytes.Equal(got, own) {
		t.Errorf("% x", got)
	}
}
