package fabric

import (
	"errors"
	"syscall"
)

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

// Devices are a provider's devices on this host. It fails with ENODATA where there is none.
func Devices(provider string) ([]Device, error) {
	found, err := devices(provider)
	if err != nil {
		return nil, err
	}
	all := make([]Device, 0, len(found))
	for _, d := range found {
		d.Address = anyProcess(provider, d.address)
		all = append(all, d.Device)
	}
	return all, nil
}

// limits are what a port may have under way at a time.
type limits struct {
	sends, receives int
	polls           bool // the provider can't block for completions
}

// event is the end of an operation.
type event struct {
	place  uint32
	length int // bytes received
	tag    uint64
	err    error
}

// errAgain: the provider takes nothing at the moment.
var errAgain = syscall.EAGAIN

// libraryError is what a call of libfabric returned, in its own words.
type libraryError struct {
	call  string
	errno syscall.Errno
	words string
}

func (e *libraryError) Error() string { return e.call + ": " + e.words }

// libraryErrno is the first of libfabric's own error numbers, which the system doesn't know.
const libraryErrno = 256

func (e *libraryError) Unwrap() error {
	if e.errno >= libraryErrno {
		return nil
	}
	return e.errno
}
