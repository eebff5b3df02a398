package launch

import "fmt"

// Where the endpoints of a job's daemons come from: the values of -a.
const (
	Facility = "facility" // from a facility's address book
	Discover = "discover" // from each host's interfaces
)

// Addressing is how a job's daemons get their endpoints.
type Addressing struct {
	Mode     string // Facility or Discover
	Book     string // path of the facility's address book; "": there is none
	Network  string // value of -n: the kind of endpoints, and for Discover which
	Fallback bool   // what can't be had may be replaced, with a warning
	Fabric   Fabric
}

// Check reports what is wrong about it on any host, without a look at this one or at the book.
func (a Addressing) Check() error {
	_, err := parseNetwork(a.Network)
	return err
}

// OverCXI tells whether the ranks use CXI devices, as far as this host knows: "" for one that will have no ranks,
// which can't tell.
func (a Addressing) OverCXI(host string) bool {
	n, err := parseNetwork(a.Network)
	if err != nil || n.scheme != schemeCXI || host == "" {
		return err == nil && n.scheme == schemeCXI
	}
	_, err = a.Fabric.devices(n.scheme)
	return err == nil
}

// Addresses are where a host's daemons are to listen.
type Addresses struct {
	Mode      string
	Endpoints []string
	Instead   []string // where they can listen if another host can't have such endpoints; only with Fallback
	Book      []byte   // the facility's whole, if Mode is Facility
	Warnings  []string // lines
}

// Preview looks, for the host that this is, what its ranks will find, and returns a line for each thing that will be replaced.
// "" is for a host that will have no ranks.
func (a Addressing) Preview(host string) (warnings []string, err error) {
	if host == "" {
		return nil, a.Check()
	}
	found, err := a.On(host)
	if err != nil {
		return nil, err
	}
	return found.Warnings, nil
}

// On returns where the daemons of host, which is this one, are to listen. What can't be had there, a
// network for which something is missing or a book for another kind of network, is an [InputError].
func (a Addressing) On(host string) (*Addresses, error) {
	n, err := parseNetwork(a.Network)
	if err != nil {
		return nil, err
	}
	at := &Addresses{Mode: a.Mode}
	if n.fabric() {
		if _, err := a.Fabric.devices(n.scheme); err != nil {
			return a.overTCP(n, err, at) // whatever there is in a book
		}
	}
	if a.Mode == Facility {
		if err := a.lookUp(host, n, at); err != nil {
			return nil, err
		}
	}
	switch {
	case at.Endpoints != nil:
	case n.scheme == schemeCXI:
		endpoint, err := a.Fabric.device(n.place)
		if err != nil {
			return a.overTCP(n, err, at)
		}
		at.Endpoints = []string{endpoint}
	default:
		if at.Endpoints, err = n.endpoints(); err != nil {
			return nil, err
		}
	}
	if n.fabric() {
		settled, moved, err := a.Fabric.settle(at.Endpoints)
		if err != nil {
			return a.overTCP(n, err, at)
		}
		if at.Endpoints = settled; moved {
			at.Warnings = append(at.Warnings, fmt.Sprintf("address book %s: its PIDs are in use, by MPI maybe: %d instead", a.Book, quietPID))
		}
	}
	if a.Fallback && n.fabric() {
		at.Instead, err = n.overTCP(hasInterface).endpoints()
	}
	return at, err
}

// lookUp finds the endpoints of a host in the facility's book. Where they can't be used and may be replaced, it
// finds none.
func (a Addressing) lookUp(host string, n network, at *Addresses) error {
	at.Mode = Discover
	if a.Book == "" {
		at.Warnings = append(at.Warnings, "there is no facility address book: the endpoints are discovered, as by -a discover")
		return nil
	}
	book, content, err := ReadBook(a.Book)
	if err != nil {
		return err
	}
	entry, err := book.Find(host)
	if err != nil {
		return err
	}
	err = a.suits(entry, n)
	switch {
	case err == nil:
		at.Mode, at.Book = Facility, content
		for _, endpoint := range entry.Endpoints {
			if address, err := ParseCXI(endpoint); err == nil {
				endpoint = address.String() // it may be written in other ways
			}
			at.Endpoints = append(at.Endpoints, endpoint)
		}
		return nil
	case a.Fallback:
		at.Warnings = append(at.Warnings, fmt.Sprintf("address book %s: %v: the endpoints are discovered", a.Book, err))
		return nil
	}
	return BadInput("address book %s: %w: take a newer one with -F, or -a discover", a.Book, err)
}

// suits reports what keeps this host from listening at the endpoints of an entry.
func (a Addressing) suits(e BookEntry, n network) error {
	for _, endpoint := range e.Endpoints {
		has := fmt.Sprintf("host %s has endpoint %s", e.Host, endpoint)
		if schemeOf(endpoint) != n.scheme {
			return fmt.Errorf("%s, and -n %s asks for another network", has, n.text)
		}
		if n.scheme == schemeCXI {
			if err := a.Fabric.owner(endpoint); err != nil {
				return fmt.Errorf("%s: %w", has, err)
			}
		}
	}
	return nil
}

// overTCP has a host that lacks something for a network listen over TCP instead, if it may.
func (a Addressing) overTCP(n network, lacks error, at *Addresses) (*Addresses, error) {
	if !a.Fallback {
		return nil, BadInput("network %s: %w: %s", n.text, lacks, n.remedy())
	}
	at.Mode, at.Book = Discover, nil // a facility's book is for the network that it was made for
	at.Warnings = append(at.Warnings, fmt.Sprintf("network %s: %v: all nodes use TCP instead, over the interfaces that each has", n.text, lacks))
	var err error
	at.Endpoints, err = n.overTCP(hasInterface).endpoints()
	return at, err
}
