package launch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// Book is an address book: which endpoints each host has. In a file each host has a line, its name and
// its endpoints with spaces between them; lines that are empty or begin with # count for nothing.
type Book struct {
	From    string // path, for errors
	Entries []BookEntry

	index map[string]int // into Entries, by short host name
}

// BookEntry is one line of a [Book].
type BookEntry struct {
	Host      string
	Endpoints []string // one at least
	Line      int      // in the file; 0: it comes from none
}

const maxBook = 64 << 20 // bytes

// ReadBook reads an address book, and returns the bytes of its file too. A book that can't be read or
// understood is an [InputError].
func ReadBook(path string) (*Book, []byte, error) {
	content, err := readFile(path, maxBook)
	if err == nil && content == nil {
		err = &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	if err != nil {
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, nil, BadInput("address book %s: %w", path, err)
	}
	b, err := ParseBook(path, content)
	return b, content, err
}

// ParseBook reads the address book in content, which comes from the file at path.
func ParseBook(path string, content []byte) (*Book, error) {
	// Of a large book one copy is made, and the entries point into it.
	text := string(content)
	lines := strings.Count(text, "\n") + 1
	b := &Book{From: path, Entries: make([]BookEntry, 0, lines), index: make(map[string]int, lines)}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if len(fields) == 1 {
			return nil, BadInput("address book %s, line %d: %q has no endpoint; want HOST ENDPOINT", path, number, fields[0])
		}
		for _, endpoint := range fields[1:] {
			if err := CheckEndpoint(endpoint); err != nil {
				return nil, BadInput("address book %s, line %d: host %s: %w", path, number, fields[0], err)
			}
		}
		e := BookEntry{Host: fields[0], Endpoints: fields[1:], Line: number}
		if first, twice := b.index[shortName(e.Host)]; twice {
			return nil, BadInput("address book %s, line %d: host %s has an entry already, in line %d", path, number, e.Host, b.Entries[first].Line)
		}
		b.add(e)
	}
	return b, nil
}

func (b *Book) add(e BookEntry) {
	if b.index == nil {
		b.index = map[string]int{}
	}
	b.index[shortName(e.Host)] = len(b.Entries)
	b.Entries = append(b.Entries, e)
}

// Add adds endpoints to those of a host, behind the hosts that are there already.
func (b *Book) Add(host string, endpoints ...string) {
	if i, there := b.index[shortName(host)]; there {
		b.Entries[i].Endpoints = append(b.Entries[i].Endpoints, endpoints...)
		return
	}
	b.add(BookEntry{Host: host, Endpoints: slices.Clone(endpoints)})
}

// Find is the entry of a host; names are compared without their domains.
func (b *Book) Find(host string) (BookEntry, error) {
	i, there := b.index[shortName(host)]
	if !there {
		return BookEntry{}, b.lacks([]string{host})
	}
	return b.Entries[i], nil
}

// Filter is the book of just these hosts, in their order, by their short names. One that is named again
// counts once.
func (b *Book) Filter(hosts []string) (*Book, error) {
	job := &Book{From: b.From}
	var missing []string
	for _, host := range hosts {
		short := shortName(host)
		if _, again := job.index[short]; again {
			continue
		}
		i, there := b.index[short]
		if !there {
			missing = append(missing, short)
			continue
		}
		e := b.Entries[i]
		e.Host = short
		job.add(e)
	}
	if missing != nil {
		return nil, b.lacks(missing)
	}
	return job, nil
}

func (b *Book) lacks(hosts []string) error {
	const most = 8
	named := strings.Join(hosts[:min(len(hosts), most)], ", ")
	if len(hosts) > most {
		named += fmt.Sprintf(" and %d more", len(hosts)-most)
	}
	what := "host"
	if len(hosts) > 1 {
		what = "hosts"
	}
	return BadInput("address book %s has no line for %s %s, only for %s: take a newer one with -F, or -a discover",
		b.From, what, named, count(len(b.Entries), "other"))
}

// Text is the book as a file.
func (b *Book) Text() []byte {
	var text bytes.Buffer
	for _, e := range b.Entries {
		fmt.Fprintln(&text, e.Host, strings.Join(e.Endpoints, " "))
	}
	return text.Bytes()
}

// shortName is a host's name without its domain. An address stays whole.
func shortName(host string) string {
	dot := strings.IndexByte(host, '.')
	if dot <= 0 || host[0] >= '0' && host[0] <= '9' && strings.Trim(host, "0123456789.") == "" {
		return host
	}
	return host[:dot]
}

// AddressBook is the job's address book.
func (d JobDir) AddressBook() string { return d.Logs() + "/copper_address_book.txt" }

// RawAddressBook is what the job's address book comes from: the table of all hosts' interfaces, or the
// facility's whole book.
func (d JobDir) RawAddressBook() string { return d.Logs() + "/copper_address_book_full_output.txt" }

// WriteAddressBook keeps the job's address book and what it comes from.
func (d JobDir) WriteAddressBook(b *Book, raw []byte) error {
	return errors.Join(writeFile(d.RawAddressBook(), raw), writeFile(d.AddressBook(), b.Text()))
}
