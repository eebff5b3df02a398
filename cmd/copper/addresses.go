package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

// addressOptions say where the daemons' endpoints come from, beside --net.
type addressOptions struct {
	Addresses string `name:"addresses" short:"a" env:"COPPER_ADDRESSES" default:"discover" enum:"facility,discover" placeholder:"MODE" help:"Where endpoints come from: facility, an address book of the site's, or discover, the interfaces of each host (${default})."`
	Book      string `name:"address-book" short:"F" env:"COPPER_ADDRESS_BOOK" type:"path" default:"" placeholder:"FILE" help:"The facility's address book: lines of a host and its endpoints (${default})."`
	Fallback  bool   `name:"fallback" env:"COPPER_FALLBACK" default:"false" help:"Where a node can't use the network or the address book that is asked for, have all nodes use TCP, or discovered endpoints, with a warning (${default})."`
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
	return launch.Addressing{Mode: o.Addresses, Book: o.Book, Network: o.Net, Fallback: o.Fallback, Fabric: thisFabric()}
}

// logLevel is that of a rank: this process's, in the roster.
func (o *options) logLevel(roster *mpiboot.Roster) int {
	return launch.RankLogLevel(o.LogLevel, roster.Self, len(roster.Cards))
}

// mostNote is what a card takes of a note, in bytes.
const mostNote = 2048

// addressNote is for the other ranks what is not as it was asked for on this one.
func (r *rank) addressNote() string {
	note := strings.Join(r.addresses.Warnings, "\n")
	return strings.ToValidUTF8(note[:min(len(note), mostNote)], "")
}

// meet leaves in the roster the endpoints that all ranks use, and here the places for them.
func (r *rank) meet(roster *mpiboot.Roster) error {
	endpoints := make([][]string, len(roster.Cards))
	for i, c := range roster.Cards {
		endpoints[i] = c.Endpoints
	}
	chosen, err := launch.Meet(hostsOf(roster), endpoints)
	if err != nil {
		return err
	}
	for i := range roster.Cards {
		roster.Cards[i].Endpoints = chosen[i]
	}
	scheme, _, _ := strings.Cut(chosen[0][0], "://")
	if len(r.addresses.Instead) > 0 && strings.HasPrefix(r.addresses.Instead[0], scheme+"://") {
		r.addresses.Mode, r.addresses.Book = launch.Discover, nil
	}
	if r.places, err = r.places.Keep(scheme); err != nil {
		return err
	}
	if len(r.listeners) > 0 && !r.places[0].TCP() {
		for _, l := range r.listeners {
			_ = l.Close()
		}
		r.listeners = nil
	}
	return nil
}

// writeAddressBook keeps where the daemons listen, and what that comes from. It also logs what is not as it was
// asked for on some host or on all: rank 0 does, for all.
func (r *rank) writeAddressBook(roster *mpiboot.Roster) error {
	said := notes(roster)
	for _, line := range slices.Sorted(maps.Keys(said)) {
		hosts := said[line]
		if len(hosts) == len(roster.Cards) {
			r.log.Warn(line)
		} else {
			r.log.Warn(line, "hosts", len(hosts), "of", len(roster.Cards), "first", hosts[0])
		}
	}
	book, table := addressBook(roster)
	raw := r.addresses.Book
	if r.addresses.Mode == launch.Discover {
		raw = table.Text()
	}
	return r.dir.WriteAddressBook(book, raw)
}

// notes are the lines of the ranks' notes, each with the hosts that it came from.
func notes(roster *mpiboot.Roster) map[string][]string {
	said := map[string][]string{}
	for _, c := range roster.Cards {
		if c.Note == "" {
			continue
		}
		for line := range strings.SplitSeq(c.Note, "\n") {
			said[line] = append(said[line], c.Host)
		}
	}
	return said
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

// forget makes the roster smaller by what nobody needs any more.
func forget(roster *mpiboot.Roster) {
	for i := range roster.Cards {
		roster.Cards[i].Interfaces, roster.Cards[i].Note = "", ""
	}
}
