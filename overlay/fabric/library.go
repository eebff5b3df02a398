package fabric

import (
	"errors"
	"slices"
)

var (
	// ErrAbsent means that this host has no libfabric.
	ErrAbsent = errors.New("libfabric is not there")

	// ErrNotBuilt means that this binary was made where libfabric's headers were not.
	ErrNotBuilt = errors.New("this copper was built without libfabric")
)

// Info is a libfabric that was found.
type Info struct {
	Version string // like "1.17"
	Path    string // of the file
}

// Library loads libfabric if it isn't yet and tells which it is: libfabric.so.1, or the file that the
// environment names in COPPER_LIBFABRIC.
func Library() (Info, error) { return load() }

// Device is something that endpoints can be opened at.
type Device struct {
	Provider string // "cxi", "tcp;ofi_rxm", "net"
	Domain   string // the device's name, like "cxi0"
	Fabric   string // the network's name
	Address  string // as an endpoint, without a process's own part of it
	Link     string // "up", "down" or "" where it isn't known
	Speed    uint64 // bits a second, 0 where it isn't known
}

// rawDevice is a device with its address as libfabric has it.
type rawDevice struct {
	Device
	address []byte
}

// Devices are a provider's devices on this host, each once for each of its addresses. It fails with ENODATA where
// there is none.
func Devices(provider string) ([]Device, error) {
	found, err := devices(provider)
	if err != nil {
		return nil, err
	}
	all := make([]Device, 0, len(found))
	for _, d := range found {
		d.Address = anyProcess(provider, d.address)
		if d.Provider == provider && !slices.Contains(all, d.Device) { // it may come in several variants
			all = append(all, d.Device)
		}
	}
	return all, nil
}

// limits are those of a port.
type limits struct {
	receives int  // that may be under way
	deaf     bool // nothing wakes a poll that waits
}

// event is the end of an operation.
type event struct {
	place  uint32
	length int // bytes received
	tag    uint64
	err    error
}
