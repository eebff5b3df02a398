package launch

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// absent stands in a table of interfaces for what a host does not have.
const absent = "NA"

const cellSeparator = " | "

// cells of one interface, by the names of their columns without the number.
var cellNames = []string{"hsn", "mac", "cxi"}

// Interfaces are a host's high-speed interfaces as one row of a table: for hsn0, hsn1, … the IPv4 address,
// the MAC address and the endpoint of the CXI device of that number. "" for a host that has none of them.
func Interfaces() (string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	return interfaceRow(interfaces, ipv4Of, cxiNICs("")), nil
}

func interfaceRow(interfaces []net.Interface, ipv4 func(net.Interface) string, devices []cxiNIC) string {
	var row []string
	cells := func(number int) []string {
		for len(row) < (number+1)*len(cellNames) {
			row = append(row, absent)
		}
		return row[number*len(cellNames):]
	}
	for _, i := range interfaces {
		match := highSpeed.FindStringSubmatch(i.Name)
		if match == nil {
			continue
		}
		number, err := strconv.Atoi(match[1])
		if err != nil || number >= mostInterfaces {
			continue
		}
		cell := cells(number)
		if address := ipv4(i); address != "" {
			cell[0] = address
		}
		if len(i.HardwareAddr) > 0 {
			cell[1] = i.HardwareAddr.String()
		}
	}
	for _, d := range devices {
		cells(d.Number)[2] = d.endpoint()
	}
	return strings.Join(row, cellSeparator)
}

// mostInterfaces bounds a row.
const mostInterfaces = 16

func ipv4Of(i net.Interface) string {
	addrs, err := i.Addrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	return ""
}

// Table is what hosts have for interfaces.
type Table struct {
	hosts []string
	rows  map[string][]string // by host
	width int                 // interfaces
}

// Add adds a host with its row, see [Interfaces]. A host that is there already stays as it is.
func (t *Table) Add(host, row string) {
	if _, again := t.rows[host]; again {
		return
	}
	if t.rows == nil {
		t.rows = map[string][]string{}
	}
	var cells []string
	if row != "" {
		cells = strings.Split(row, cellSeparator)
	}
	t.hosts = append(t.hosts, host)
	t.rows[host] = cells
	t.width = max(t.width, (len(cells)+len(cellNames)-1)/len(cellNames))
}

// Text is the table for people and for scripts: a line with the columns' names, and one a host.
func (t *Table) Text() []byte {
	var text bytes.Buffer
	header := []string{"hostname"}
	for i := range t.width {
		for _, name := range cellNames {
			header = append(header, name+strconv.Itoa(i))
		}
	}
	fmt.Fprintln(&text, strings.Join(header, cellSeparator))
	for _, host := range t.hosts {
		line := append([]string{host}, t.rows[host]...)
		for len(line) < len(header) {
			line = append(line, absent)
		}
		fmt.Fprintln(&text, strings.Join(line, cellSeparator))
	}
	return text.Bytes()
}

// Book derives an address book from the columns that a network, a value of -n, selects: hsn0 for
// tcp://hsn0, every hsn for tcp, cxi1 for cxi1 or cxi://cxi1. A host that has nothing there is an error.
func (t *Table) Book(network string) (*Book, error) {
	var columns []string
	device, err := cxiDevice(network)
	iface, tcp := strings.CutPrefix(network, "tcp://")
	switch {
	case err == nil:
		columns = []string{fmt.Sprint("cxi", device)}
	case network == "tcp":
		for i := range t.width {
			columns = append(columns, fmt.Sprint("hsn", i))
		}
	case tcp && highSpeed.MatchString(iface):
		columns = []string{iface}
	default:
		return nil, BadInput("network %q: an address book is made for tcp, tcp://hsn0, cxi, cxi0 … cxi7 or cxi://cxi0", network)
	}
	b := &Book{}
	var missing []string
	for _, host := range t.hosts {
		endpoints := t.endpoints(host, columns)
		if len(endpoints) == 0 {
			missing = append(missing, host)
			continue
		}
		b.Add(shortName(host), endpoints...)
	}
	if missing != nil {
		return nil, fmt.Errorf("network %s: %s without such an interface: %s", network, count(len(missing), "host"),
			strings.Join(missing[:min(len(missing), 8)], ", "))
	}
	return b, nil
}

// endpoints are what a host has in some columns.
func (t *Table) endpoints(host string, columns []string) (endpoints []string) {
	for _, column := range columns {
		kind := column[:len("hsn")]
		number, err := strconv.Atoi(column[len(kind):])
		at := number*len(cellNames) + slices.Index(cellNames, kind)
		if cells := t.rows[host]; err != nil || at >= len(cells) || cells[at] == absent {
			continue
		}
		endpoint := t.rows[host][at]
		if kind == "hsn" {
			endpoint = "tcp://" + endpoint
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints
}
