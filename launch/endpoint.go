package launch

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckEndpoint reports what keeps text from being an endpoint, SCHEME://ADDRESS. What the address means
// is for those to know who use it; only that of a CXI device is looked at.
func CheckEndpoint(text string) error {
	scheme, address, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || address == "" || strings.ContainsRune(text, '|') {
		return fmt.Errorf("%q is not an endpoint such as tcp://10.0.0.1 or ofi+cxi://0x00916600", text)
	}
	if strings.TrimPrefix(scheme, "ofi+") == "cxi" {
		_, err := ParseCXI(text)
		return err
	}
	return nil
}

// CXI is the address of an endpoint at a CXI device.
type CXI struct {
	NIC uint32 // 20 bits: the device, among all of the machine's
	PID uint16 // 9 bits: the endpoint at the device
}

const (
	cxiPIDBits = 9
	cxiNICBits = 20
	mostPID    = 1<<cxiPIDBits - 2 // the one behind it means any
)

// ParseCXI reads an endpoint such as ofi+cxi://0x00916600.
func ParseCXI(endpoint string) (CXI, error) {
	hex, ok := strings.CutPrefix(strings.TrimPrefix(endpoint, "ofi+"), "cxi://0x")
	address, err := strconv.ParseUint(hex, 16, cxiNICBits+cxiPIDBits)
	if !ok || err != nil {
		return CXI{}, fmt.Errorf("%q is not the endpoint of a CXI device such as ofi+cxi://0x00916600: a NIC of %d bits and a PID of %d",
			endpoint, cxiNICBits, cxiPIDBits)
	}
	return CXI{NIC: uint32(address >> cxiPIDBits), PID: uint16(address & (1<<cxiPIDBits - 1))}, nil
}

// String is what [ParseCXI] reads.
func (c CXI) String() string {
	return fmt.Sprintf("ofi+cxi://0x%08x", c.NIC<<cxiPIDBits|uint32(c.PID))
}
