package launch

import (
	"fmt"
	"strings"
)

// Where the endpoints of a job's daemons come from: the values of -a.
const (
	Facility = "facility" // from a facility's address book
	Discover = "discover" // from each host's interfaces
)

// Addressing is how a job's daemons get their endpoints.
type Addressing struct {
	Mode     string // Facility or Discover
	Book     string // path of the facility's address book; "": there is none
	Network  string // value of -n; what it names counts for Discover
	Fallback bool   // what can't be had may be replaced, with a warning
}

// Check reports what is wrong about it on any host, without a look at the book.
func (a Addressing) Check() error {
	_, _, err := a.resolve(func(string) bool { return false })
	return err
}

// resolve is the same with what this binary and this place can do, and a line for each thing that was
// replaced. has tells whether this host has an interface.
func (a Addressing) resolve(has func(string) bool) (Addressing, []string, error) {
	var warnings []string
	if _, err := cxiDevice(a.Network); err == nil {
		if !a.Fallback {
			_, err := Endpoints(a.Network)
			return a, nil, err
		}
		tcp := insteadOfCXI(a.Network, has)
		warnings = append(warnings, fmt.Sprintf("network %s: this copper speaks only tcp, and uses it over the interfaces that each host has", a.Network))
		a.Network, a.Mode = tcp, Discover // a facility's book is for the network that it was made for
	}
	if _, err := Endpoints(a.Network); err != nil {
		return a, nil, err
	}
	if a.Mode == Facility && a.Book == "" {
		warnings = append(warnings, "there is no facility address book: the endpoints are discovered, as by -a discover")
		a.Mode = Discover
	}
	return a, warnings, nil
}

// Addresses are where a host's daemons are to listen.
type Addresses struct {
	Mode      string
	Endpoints []string
	Book      []byte   // the facility's whole, if Mode is Facility
	Warnings  []string // lines
}

// Preview looks, without a host in mind, whether the book can be used, and returns a line for each thing that
// will be replaced.
func (a Addressing) Preview() (warnings []string, err error) {
	a, warnings, err = a.resolve(hasInterface)
	if err != nil || a.Mode != Facility {
		return warnings, err
	}
	book, _, err := ReadBook(a.Book)
	if err != nil || len(book.Entries) == 0 {
		return warnings, err // an empty one lacks a host, which will be told
	}
	instead, err := a.instead(book.Entries[0])
	if instead != "" {
		warnings = append(warnings, instead)
	}
	return warnings, err
}

// On returns where the daemons of host, which is this one, are to listen. What can't be used, a
// book for another kind of network say, is an [InputError].
func (a Addressing) On(host string) (*Addresses, error) {
	a, warnings, err := a.resolve(hasInterface)
	if err != nil {
		return nil, err
	}
	if a.Mode == Facility {
		book, content, err := ReadBook(a.Book)
		if err != nil {
			return nil, err
		}
		entry, err := book.Find(host)
		if err != nil {
			return nil, err
		}
		switch instead, err := a.instead(entry); {
		case err != nil:
			return nil, err
		case instead == "":
			return &Addresses{Mode: Facility, Endpoints: entry.Endpoints, Book: content, Warnings: warnings}, nil
		default:
			warnings = append(warnings, instead)
		}
	}
	endpoints, err := Endpoints(a.Network)
	return &Addresses{Mode: Discover, Endpoints: endpoints, Warnings: warnings}, err
}

// instead is what there is to say when the endpoints of an entry are not for this binary and are replaced: "" if
// they are.
func (a Addressing) instead(e BookEntry) (string, error) {
	foreign := foreignEndpoint(e.Endpoints)
	switch {
	case foreign == "":
		return "", nil
	case a.Fallback:
		return fmt.Sprintf("address book %s has endpoints such as %s, and this copper speaks only tcp: the endpoints are discovered", a.Book, foreign), nil
	}
	return "", BadInput("address book %s: host %s has endpoint %s, and this copper speaks only tcp: take -a discover -n tcp://hsn0", a.Book, e.Host, foreign)
}

// foreignEndpoint is the first endpoint that this binary can't listen at, "" if there is none.
func foreignEndpoint(endpoints []string) string {
	for _, e := range endpoints {
		if !strings.HasPrefix(e, "tcp://") {
			return e
		}
	}
	return ""
}
