package main

import (
	"strconv"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

// addressOptions say where the daemons' endpoints come from, beside --net.
type addressOptions struct {
	Addresses string `name:"addresses" short:"a" env:"COPPER_ADDRESSES" default:"discover" enum:"facility,discover" placeholder:"MODE" help:"Where endpoints come from: facility, an address book of the site's, or discover, the interfaces of each host (${default})."`
	Book      string `name:"address-book" short:"F" env:"COPPER_ADDRESS_BOOK" type:"path" default:"" placeholder:"FILE" help:"The facility's address book: lines of a host and its endpoints (${default})."`
	Fallback  bool   `name:"fallback" env:"COPPER_FALLBACK" default:"false" help:"Where this copper can't use the network or the address book that is asked for, use TCP and discovered endpoints, with a warning (${default})."`
}

// args is the command line that gives these options to another copper.
func (o *addressOptions) args() []string {
	args := []string{"--addresses", o.Addresses, "--fallback=" + strconv.FormatBool(o.Fallback)}
	if o.Book != "" {
		args = append(args, "--address-book", o.Book)
	}
	return args
}

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
