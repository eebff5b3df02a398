package main

import (
	"fmt"
	"io"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

func (o *options) addressing() launch.Addressing {
	return launch.Addressing{Mode: o.Addresses, Book: o.Book, Network: o.Net, Fallback: o.Fallback}
}

// logLevel is that of a rank: this process's, in the roster.
func (o *options) logLevel(roster *mpiboot.Roster) int {
	return launch.RankLogLevel(o.LogLevel, roster.Self, len(roster.Cards))
}

// writeAddressBook keeps where the daemons listen, and what that comes from. It also logs what is not as it was
// asked for: rank 0 does, for all.
func (r *rank) writeAddressBook(roster *mpiboot.Roster) error {
	for _, line := range r.addresses.Warnings {
		r.log.Warn(line)
	}
	book, table := addressBook(roster)
	raw := r.addresses.Book
	if r.addresses.Mode == launch.Discover {
		raw = table.Text()
	}
	return r.dir.WriteAddressBook(book, raw)
}

// addressBook is where the daemons of a roster listen, and their hosts' interfaces.
func addressBook(roster *mpiboot.Roster) (*launch.Book, *launch.Table) {
	book, table := &launch.Book{}, &launch.Table{}
	for _, c := range roster.Cards {
		book.Add(c.Host, c.Endpoints...)
		table.Add(c.Host, c.Interfaces)
	}
	return book, table
}

// forgetInterfaces makes the roster smaller by what nobody needs any more.
func forgetInterfaces(roster *mpiboot.Roster) {
	for i := range roster.Cards {
		roster.Cards[i].Interfaces = ""
	}
}

// checkAddresses looks, before anything is started, at where the daemons of these hosts are to listen, the
// first of which stands for this one, and says on out what is not as it was asked for.
func (o *options) checkAddresses(hosts []string, out io.Writer) error {
	addresses, err := o.addressing().On(hosts[0], hosts[1:]...)
	if err != nil {
		return err
	}
	for _, line := range addresses.Warnings {
		fmt.Fprintln(out, "copper: warning:", line)
	}
	return nil
}
