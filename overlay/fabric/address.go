package fabric

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/copper-hpc/copper/overlay/iface"
)

// Endpoints are SCHEME://ADDRESS, with a scheme for each provider of libfabric that is used.
//
// libfabric's own addresses are bytes. What they say is only looked into for texts that people read and write:
// of a CXI device, the first four bytes, little-endian, are its NIC (20 bits) and the process's PID there (9
// bits). Newer libraries append the network's VNI and others may append more, which goes into the endpoint as it is.
const (
	schemeCXI = "ofi+cxi"
	schemeTCP = "ofi+tcp"
	schemeNet = "ofi+net"

	pidBits = 9
	nicBits = 20

	anyPID = 1<<pidBits - 1 // is that of no endpoint: one that is free

	maxAddress = 64 // bytes
)

var schemes = map[string]string{schemeCXI: "cxi", schemeTCP: "tcp;ofi_rxm", schemeNet: "net"}

// Schemes are those of the endpoints that a [Transport] understands.
func Schemes() []string { return []string{schemeCXI, schemeTCP, schemeNet} }

// site is where an endpoint is to be opened.
type site struct {
	scheme, provider string
	domain           string // or "" for any
	node, service    string // as fi_getinfo takes them
}

// split takes an endpoint apart.
func split(endpoint string) (scheme, provider, address string, err error) {
	scheme, address, ok := strings.Cut(endpoint, "://")
	provider = schemes[scheme]
	if !ok || provider == "" {
		return "", "", "", fmt.Errorf("endpoint %q: want %s://, %s:// or %s:// and an address", endpoint, schemeCXI, schemeTCP, schemeNet)
	}
	return scheme, provider, address, nil
}

// parse reads an endpoint that others dial: its scheme and its address as libfabric has it.
func parse(endpoint string) (scheme string, address []byte, err error) {
	scheme, _, text, err := split(endpoint)
	if err != nil {
		return "", nil, err
	}
	if scheme == schemeCXI {
		address, err = parseCXI(text)
	} else {
		address, err = parseIP(text)
	}
	if err != nil {
		return "", nil, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return scheme, address, nil
}

// format is the endpoint of an address as libfabric has it.
func format(scheme string, address []byte) string {
	if scheme != schemeCXI {
		return scheme + "://" + formatIP(address)
	}
	if len(address) < 4 {
		return scheme + "://" + hex.EncodeToString(address)
	}
	nic, pid := nicOf(address)
	return fmt.Sprintf("%s://0x%08x%x", scheme, nic<<pidBits|pid, address[4:])
}

func parseCXI(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) < 4 || len(raw) > maxAddress || raw[0]>>(nicBits+pidBits-24) != 0 {
		return nil, fmt.Errorf("want 0x and 8 hexadecimal digits or more, a NIC of %d bits and a PID of %d, such as 0x00916600", nicBits, pidBits)
	}
	slices.Reverse(raw[:4])
	return raw, nil
}

// nicOf is the NIC in the address of a CXI device, and the PID.
func nicOf(address []byte) (nic, pid uint32) {
	if len(address) < 4 {
		return 0, 0
	}
	u := binary.LittleEndian.Uint32(address)
	return u >> pidBits & (1<<nicBits - 1), u & (1<<pidBits - 1)
}

// identity is what of an address tells one endpoint from others. The rest may be padding, or differ with how the
// address was found out.
func identity(scheme string, address []byte) string {
	switch {
	case scheme == schemeCXI && len(address) >= 4:
		nic, pid := nicOf(address)
		return string(binary.LittleEndian.AppendUint32(nil, nic<<pidBits|pid))
	case scheme != schemeCXI:
		return formatIP(address)
	}
	return string(address)
}

// complete is an address of at least the length of own: what a short one lacks, such as the VNI in the books
// that facilities keep, is the same for all of a job.
func complete(scheme string, address, own []byte) []byte {
	if scheme == schemeCXI && len(address) < len(own) {
		return append(slices.Clip(address), own[len(address):]...)
	}
	return address
}

// The bytes of an IP address are those of a struct sockaddr.
const (
	sockaddr4 = 16
	sockaddr6 = 28
)

func parseIP(text string) ([]byte, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Port() == 0 || at.Addr().Zone() != "" {
		return nil, fmt.Errorf("want IP:PORT")
	}
	ip := at.Addr().Unmap()
	address := make([]byte, sockaddr4, sockaddr6)
	binary.BigEndian.PutUint16(address[2:], at.Port())
	if ip.Is4() {
		binary.NativeEndian.PutUint16(address, syscall.AF_INET)
		copy(address[4:], ip.AsSlice())
		return address, nil
	}
	address = address[:sockaddr6]
	binary.NativeEndian.PutUint16(address, syscall.AF_INET6)
	copy(address[8:], ip.AsSlice())
	return address, nil
}

func formatIP(address []byte) string {
	var ip netip.Addr
	switch {
	case len(address) >= sockaddr4 && binary.NativeEndian.Uint16(address) == syscall.AF_INET:
		ip = netip.AddrFrom4([4]byte(address[4:8]))
	case len(address) >= sockaddr6 && binary.NativeEndian.Uint16(address) == syscall.AF_INET6:
		ip = netip.AddrFrom16([16]byte(address[8:24]))
	default:
		return hex.EncodeToString(address)
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(address[2:])).String()
}

// anyProcess is a device's address as an endpoint. What is a process's own in it, the PID or the port, is 0.
func anyProcess(provider string, address []byte) string {
	address = slices.Clone(address)
	for scheme, p := range schemes {
		if p != provider || len(address) < 4 {
			continue
		}
		if scheme == schemeCXI {
			nic, _ := nicOf(address)
			binary.LittleEndian.PutUint32(address, nic<<pidBits)
		} else {
			address[2], address[3] = 0, 0
		}
		return format(scheme, address)
	}
	return hex.EncodeToString(address)
}

// siteOf finds where to listen for an endpoint of which parts may be left open.
func siteOf(endpoint string) (site, error) {
	scheme, provider, text, err := split(endpoint)
	if err != nil {
		return site{}, err
	}
	s := site{scheme: scheme, provider: provider}
	if scheme == schemeCXI {
		s.domain, s.service, err = cxiSite(text)
		s.node = s.domain
	} else {
		s.node, s.service, err = ipSite(text)
	}
	if err != nil {
		return site{}, fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return s, nil
}

func ipSite(text string) (node, service string, err error) {
	host, port := text, "0"
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("want IP[:PORT] or INTERFACE[:PORT]")
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host, err = iface.Address(host); err != nil {
		return "", "", err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", "", fmt.Errorf("%q is neither an IP address nor an interface of this host", host)
	}
	return host, port, nil
}

// cxiSite is the domain and the PID, as fi_getinfo's service, of cxi0, cxi0:PID or an address.
func cxiSite(text string) (domain, service string, err error) {
	if strings.HasPrefix(text, "0x") {
		address, err := parseCXI(text)
		if err != nil {
			return "", "", err
		}
		nic, pid := nicOf(address)
		if pid == anyPID {
			return "", "", fmt.Errorf("the PID %d is none to listen at", pid)
		}
		found, err := devices(schemes[schemeCXI])
		if err != nil {
			return "", "", err
		}
		domain, err = domainOf(nic, found)
		return domain, strconv.Itoa(int(pid)), err
	}
	domain, service, ok := strings.Cut(text, ":")
	if !ok {
		service = "0"
	}
	number, named := strings.CutPrefix(domain, "cxi")
	_, errNumber := strconv.ParseUint(number, 10, 8)
	if pid, err := strconv.ParseUint(service, 10, pidBits); !named || errNumber != nil || err != nil || pid == anyPID {
		return "", "", fmt.Errorf("want cxi0, cxi0:PID with a PID below %d, or an address such as 0x00916600", anyPID)
	}
	return domain, service, nil
}

// domainOf is the device that has a NIC.
func domainOf(nic uint32, found []rawDevice) (string, error) {
	var has []string
	for _, d := range found {
		own, _ := nicOf(d.address)
		if own == nic {
			return d.Domain, nil
		}
		if text := fmt.Sprintf("%s is 0x%05x", d.Domain, own); !slices.Contains(has, text) {
			has = append(has, text)
		}
	}
	return "", fmt.Errorf("no device of this host has the NIC 0x%05x: %s", nic, strings.Join(has, ", "))
}
