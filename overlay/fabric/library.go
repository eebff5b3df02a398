package fabric

import "errors"

var (
	// ErrAbsent: this host has no libfabric.
	ErrAbsent = errors.New("libfabric is not there")

	// ErrNotBuilt: this binary was made where libfabric's headers were not.
	ErrNotBuilt = errors.New("this copper was built without libfabric")
)

// Info is a libfabric that was found.
type Info struct {
	Version string // like "1.17"
	Path    string // of the file
}

// Device is something that endpoints can be opened at.
type Device struct {
	Provider string // "cxi", "tcp;ofi_rxm", "net"
	Domain   string // the device's name, like "cxi0"
	Fabric   string // the network's name
	Address  string // as an endpoint, without a process's own part of it
	Link     string // "up", "down" or "" where it isn't known
	Speed    uint64 // bits a second, 0 where it isn't known
}
