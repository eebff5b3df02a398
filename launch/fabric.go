package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Fabric is libfabric on this host, as far as this package has to know it: as functions. Without functions this
// copper was built without it.
type Fabric struct {
	// Library is which one was found; the error tells what is missing.
	Library func() (FabricLibrary, error)
	// Devices are those of a provider, by libfabric's names for both.
	Devices func(provider string) ([]FabricDevice, error)
	// Trial opens an endpoint for a moment, and tells what keeps it from being opened; nil: nothing is tried. Outside
	// of a job step there may be no virtual network to open it in.
	Trial func(endpoint string) error
	// Sys is where the driver shows the host's CXI devices; "": where it does.
	Sys string
	// Getenv is the environment, for what the launcher says of the step's share of the network; nil: this process's.
	Getenv func(name string) string
}

// FabricLibrary is a libfabric that was found.
type FabricLibrary struct{ Version, Path string }

// FabricDevice is a device that a provider can use.
type FabricDevice struct {
	Domain  string // its name: cxi0
	Address string // as an endpoint; "": not known
}

var errNoFabric = errors.New("this copper was built without libfabric")

func (f Fabric) library() (FabricLibrary, error) {
	if f.Library == nil {
		return FabricLibrary{}, errNoFabric
	}
	return f.Library()
}

// devices are those of the provider for a kind of endpoints; the error tells what is missing.
func (f Fabric) devices(scheme string) ([]FabricDevice, error) {
	library, err := f.library()
	if err != nil {
		return nil, err
	}
	provider := providers[scheme]
	found, err := f.Devices(provider)
	what := fmt.Sprintf("libfabric %s (%s) has no provider %s", library.Version, library.Path, provider)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(found) == 0 {
		return nil, errors.New(what + " with a device")
	}
	return found, nil
}

// slingshot is the step's share of the network.
func (f Fabric) slingshot() slingshot {
	if f.Getenv == nil {
		return slingshotOf(os.Getenv)
	}
	return slingshotOf(f.Getenv)
}

// cxiNIC is a CXI device of this host.
type cxiNIC struct {
	Name   string // cxi0
	Number int    // 0
	NIC    uint32 // its address among all of the machine's devices
}

func (n cxiNIC) String() string { return fmt.Sprintf("%s (NIC 0x%04x)", n.Name, n.NIC) }

// endpoint is the one with PID 0, by which a device is known in tables and books.
func (n cxiNIC) endpoint() string { return CXI{NIC: n.NIC}.String() }

// cxiDevices is where the driver shows its devices, a directory for each.
const cxiDevices = "/sys/class/cxi_user"

// cxiNICs are this host's CXI devices as their driver shows them in a directory, in their order.
func cxiNICs(sys string) []cxiNIC {
	if sys == "" {
		sys = cxiDevices
	}
	entries, err := os.ReadDir(sys)
	if err != nil {
		return nil // no such driver
	}
	var nics []cxiNIC
	for _, e := range entries {
		number, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "cxi"))
		if err != nil || number < 0 || number >= mostInterfaces {
			continue
		}
		for _, property := range []string{"nid", "nic_addr"} { // by the driver's age
			content, err := os.ReadFile(filepath.Join(sys, e.Name(), "device", "properties", property))
			if err != nil {
				continue
			}
			if nid, err := strconv.ParseUint(strings.TrimSpace(string(content)), 0, cxiNICBits); err == nil {
				nics = append(nics, cxiNIC{e.Name(), number, uint32(nid)})
				break
			}
		}
	}
	slices.SortFunc(nics, func(a, b cxiNIC) int { return a.Number - b.Number })
	return nics
}

// cxiLength is that of an endpoint at a CXI device, without what newer libraries add.
const cxiLength = len("ofi+cxi://0x00916600")

// usable are the CXI devices that libfabric has, each with its NIC; the driver or else libfabric tells it.
func (f Fabric) usable() ([]cxiNIC, error) {
	found, err := f.devices(schemeCXI)
	if err != nil {
		return nil, err
	}
	shown := cxiNICs(f.Sys)
	var nics []cxiNIC
	var names []string
	for _, d := range found {
		names = append(names, d.Domain)
		if i := slices.IndexFunc(shown, func(n cxiNIC) bool { return n.Name == d.Domain }); i >= 0 {
			nics = append(nics, shown[i])
		} else if address, err := ParseCXI(d.Address[:min(len(d.Address), cxiLength)]); err == nil { // more may follow
			nics = append(nics, cxiNIC{Name: d.Domain, NIC: address.NIC})
		}
	}
	if nics == nil {
		return nil, fmt.Errorf("the addresses of %s are not known: neither libfabric nor %s tells them", strings.Join(names, ", "), cxiDevices)
	}
	return nics, nil
}

// quietPID is where Copper's own PIDs at a CXI device begin. Who leaves the choice to the driver, as the MPI library in this
// very process, is given the lowest that is free.
const quietPID = 256

// device is the endpoint at a CXI device of this host; the error tells what is missing.
func (f Fabric) device(name string) (string, error) {
	nics, err := f.usable()
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(nics, func(n cxiNIC) bool { return n.Name == name })
	if i < 0 {
		return "", fmt.Errorf("libfabric has no device %s on this host, only %s", name, nicNames(nics))
	}
	if err := f.slingshot().check(name); err != nil {
		return "", err
	}
	return CXI{nics[i].NIC, quietPID}.String(), nil
}

// settle opens endpoints for a moment, as far as that is to be tried, and returns those to use. In the place of one at a
// CXI device whose PID somebody has (moved), it is one with a PID that nobody is given unasked.
func (f Fabric) settle(endpoints []string) (settled []string, moved bool, err error) {
	if f.Trial == nil {
		return endpoints, false, nil
	}
	for _, e := range endpoints {
		address, err := ParseCXI(e)
		if err != nil {
			if err := f.Trial(e); err != nil {
				return nil, false, err
			}
			settled = append(settled, e)
			continue
		}
		if address.PID >= quietPID || f.Trial(e) != nil {
			// Others on this host may be trying the same.
			beside := CXI{address.NIC, uint16(quietPID + 1 + os.Getpid()%(mostPID-quietPID))}
			if err := f.Trial(beside.String()); err != nil {
				return nil, false, err
			}
			if address.PID < quietPID {
				address.PID, moved = quietPID, true
			}
		}
		settled = append(settled, address.String())
	}
	return settled, moved, nil
}

// owner reports what keeps this host from listening at an endpoint of a CXI device that a book gives it.
func (f Fabric) owner(endpoint string) error {
	address, err := ParseCXI(endpoint)
	if err != nil {
		return err
	}
	nics, err := f.usable()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nics, func(n cxiNIC) bool { return n.NIC == address.NIC })
	if i < 0 {
		return fmt.Errorf("that is NIC 0x%04x, and this host has %s", address.NIC, nicNames(nics))
	}
	return f.slingshot().check(nics[i].Name)
}

func nicNames(nics []cxiNIC) string {
	names := make([]string, len(nics))
	for i, n := range nics {
		names[i] = n.String()
	}
	return strings.Join(names, ", ")
}

// Facts are what libfabric, its device and the launcher contribute to an endpoint, in one line for a log.
func (f Fabric) Facts(endpoint string) string {
	library, err := f.library()
	if err != nil {
		return err.Error()
	}
	scheme := schemeOf(endpoint)
	facts := fmt.Sprintf("libfabric %s (%s), provider %s", library.Version, library.Path, providers[scheme])
	if scheme != schemeCXI {
		return facts
	}
	nics, err := f.usable()
	if err != nil {
		return facts + ": " + err.Error()
	}
	address, err := ParseCXI(endpoint)
	i := slices.IndexFunc(nics, func(n cxiNIC) bool { return n.NIC == address.NIC })
	if err != nil || i < 0 {
		return facts + " with " + nicNames(nics)
	}
	return fmt.Sprintf("%s, %s, PID %d, %s", facts, nics[i], address.PID, f.slingshot().share(nics[i].Name))
}
