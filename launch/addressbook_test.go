package launch

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBookIsFiltered(t *testing.T) {
	b, err := ParseBook("book", []byte(`# of a facility
x4000c0s0b0n0 ofi+cxi://0x00916600

x4000c0s1b0n0.hsn.example   tcp://10.0.0.2:7	tcp://10.1.0.2
x4000c0s2b0n0 ofi+cxi://0x0060e600`))
	if err != nil {
		t.Fatal(err)
	}
	job, err := b.Filter([]string{"x4000c0s2b0n0.elsewhere", "x4000c0s1b0n0", "x4000c0s2b0n0"})
	if err != nil {
		t.Fatal(err)
	}
	const want = "x4000c0s2b0n0 ofi+cxi://0x0060e600\nx4000c0s1b0n0 tcp://10.0.0.2:7 tcp://10.1.0.2\n"
	if got := string(job.Text()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again, err := ParseBook("again", job.Text()); err != nil || !bytes.Equal(again.Text(), job.Text()) {
		t.Errorf("what was written is not what is read: %v", err)
	}
	for _, c := range []struct {
		hosts []string
		want  string
	}{
		{[]string{"x4000c0s0b0n0", "n9"}, "address book book has no line for host n9, only for 3 others"},
		{[]string{"n8.b", "n9"}, "hosts n8, n9"},
		{strings.Fields("a b c d e f g h i j"), "a, b, c, d, e, f, g, h and 2 more"},
	} {
		if _, err := b.Filter(c.hosts); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.hosts, err, c.want)
		}
	}
}

func TestBookErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a tcp://1\nb\n":                       `book, line 2: "b" has no endpoint`,
		"a tcp://1\n\n#\nc tcp:/1":             `book, line 4: host c: "tcp:/1" is not an endpoint`,
		"a.x tcp://1\nb tcp://2\na.y tcp://3":  "book, line 3: host a.y has an entry already, in line 1",
		"a ofi+cxi://916600":                   "line 1: host a: \"ofi+cxi://916600\" is not the endpoint of a CXI device",
		"a ofi+cxi://0x100000000":              "NIC of 20 bits",
		"a tcp://10.0.0.1 ofi+cxi://0xnothing": "line 1: host a",
		"a ://x":                               "is not an endpoint",
		"hostname | hsn0 | mac0\n":             `"|" is not an endpoint`,
		"\x00\x01\xff\n":                       "line 1",
	} {
		if _, err := ParseBook("book", []byte(text)); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	dir := t.TempDir()
	for path, want := range map[string]string{dir: "not a file", dir + "/none": "none: no such file or directory"} {
		if _, _, err := ReadBook(path); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestCXIAddresses(t *testing.T) {
	for endpoint, want := range map[string]CXI{
		"ofi+cxi://0x00916600": {NIC: 0x48B3},
		"ofi+cxi://0x0060e600": {NIC: 0x3073},
		"ofi+cxi://0x0060e605": {NIC: 0x3073, PID: 5},
		"ofi+cxi://0x1fffffff": {NIC: 1<<20 - 1, PID: 511},
	} {
		got, err := ParseCXI(endpoint)
		if err != nil || got != want || got.String() != endpoint {
			t.Errorf("%s: %+v, %v, want %+v", endpoint, got, err, want)
		}
	}
}

// facility is a book of the size of Aurora's.
func facility() (text []byte, hosts []string) {
	const nodes = 10623
	var b bytes.Buffer
	for i := range nodes {
		host := fmt.Sprintf("x4%03dc%ds%db0n0", i/64, i/8%8, i%8)
		hosts = append(hosts, host)
		fmt.Fprintf(&b, "%s ofi+cxi://0x%08x\n", host, i<<9)
	}
	return b.Bytes(), hosts
}

func TestFacilityBook(t *testing.T) {
	text, hosts := facility()
	began := time.Now()
	b, err := ParseBook("book", text)
	t.Logf("%d lines were read in %v", len(hosts), time.Since(began))
	if err != nil || len(b.Entries) != len(hosts) {
		t.Fatalf("%d entries, %v", len(b.Entries), err)
	}
	slices.Reverse(hosts)
	job, err := b.Filter(hosts)
	if err != nil || len(job.Entries) != len(hosts) || job.Entries[0].Host != hosts[0] {
		t.Fatalf("%d entries, %v", len(job.Entries), err)
	}
}

func BenchmarkFacilityBook(b *testing.B) {
	text, hosts := facility()
	for b.Loop() {
		book, err := ParseBook("book", text)
		if err == nil {
			_, err = book.Filter(hosts)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParseBook(f *testing.F) {
	f.Add([]byte("a ofi+cxi://0x00916600\n# c\nb.c tcp://10.0.0.1:7 tcp://10.1.0.1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ParseBook("book", text)
		if err != nil {
			return
		}
		again, err := ParseBook("again", b.Text())
		if err != nil || !bytes.Equal(again.Text(), b.Text()) {
			t.Fatalf("%q was read and written as %q: %v", text, b.Text(), err)
		}
	})
}

func TestTable(t *testing.T) {
	face := func(name, mac string) net.Interface {
		address, _ := net.ParseMAC(mac)
		return net.Interface{Name: name, HardwareAddr: address}
	}
	addresses := map[string]string{"hsn0": "10.0.0.1", "hsn2": "10.2.0.1"}
	ipv4 := func(i net.Interface) string { return addresses[i.Name] }
	row := interfaceRow([]net.Interface{
		face("lo", ""), face("hsn2", "02:00:00:00:30:73"), face("hsn0", "02:00:00:00:48:b3"), face("hsn0x", ""), face("hsn1", ""), face("hsn99", ""),
	}, ipv4, cxiNICs(devices(t, map[string]string{"cxi0": "0x48b3", "cxi1": "12403", "cxi2": "broken"})))
	const want = "10.0.0.1 | 02:00:00:00:48:b3 | ofi+cxi://0x00916600 | NA | NA | ofi+cxi://0x0060e600 | 10.2.0.1 | 02:00:00:00:30:73 | NA"
	if alone := interfaceRow(nil, ipv4, cxiNICs(devices(t, map[string]string{"cxi1": "0x3073"}))); alone != "NA | NA | NA | NA | NA | ofi+cxi://0x0060e600" {
		t.Errorf("a CXI device without an interface: %s", alone)
	}
	if row != want {
		t.Fatalf("got  %s\nwant %s", row, want)
	}
	var table Table
	table.Add("n1.x", row)
	table.Add("n2", "10.0.0.2 | NA | ofi+cxi://0x00000200")
	table.Add("n1.x", "10.9.9.9 | NA | NA") // of a second rank there
	if got, want := string(table.Text()), "hostname | hsn0 | mac0 | cxi0 | hsn1 | mac1 | cxi1 | hsn2 | mac2 | cxi2\n"+
		"n1.x | "+row+"\nn2 | 10.0.0.2 | NA | ofi+cxi://0x00000200 | NA | NA | NA | NA | NA | NA\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for network, want := range map[string]string{
		"tcp":         "n1 tcp://10.0.0.1 tcp://10.2.0.1\nn2 tcp://10.0.0.2\n",
		"tcp://hsn0":  "n1 tcp://10.0.0.1\nn2 tcp://10.0.0.2\n",
		"cxi":         "n1 ofi+cxi://0x00916600\nn2 ofi+cxi://0x00000200\n",
		"cxi://cxi0":  "n1 ofi+cxi://0x00916600\nn2 ofi+cxi://0x00000200\n",
		"cxi1":        "1 host without such an interface: n2",
		"tcp://hsn7":  "2 hosts without such an interface: n1.x, n2",
		"tcp://eth0":  "is made for",
		"cxi8":        "is made for",
		"tcp://10.0.": "is made for",
	} {
		book, err := table.Book(network)
		got := fmt.Sprint(err)
		if err == nil {
			got = string(book.Text())
		}
		if !strings.Contains(got, want) || err == nil && got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
	var none Table
	none.Add("n1", "")
	if got := string(none.Text()); got != "hostname\nn1\n" {
		t.Errorf("without interfaces: %q", got)
	}
}
