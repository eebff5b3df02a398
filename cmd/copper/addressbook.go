package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

type bookCmd struct {
	Make   bookMakeCmd   `cmd:"" help:"Print the address book of the hosts that this is started on, once on each, by mpiexec or srun; of this host if it is started as it is."`
	Filter bookFilterCmd `cmd:"" help:"Print the part of an address book that is for some hosts, in their order."`
	Check  bookCheckCmd  `cmd:"" help:"Tell what an address book holds, or which line is wrong."`
}

type bookMakeCmd struct {
	Net     string        `name:"net" short:"n" env:"COPPER_NET" default:"tcp" placeholder:"NET" help:"Which interfaces: tcp (all of hsn0, hsn1, …), tcp://hsn0, cxi, cxi0 … cxi7 or cxi://cxi0 (${default})."`
	Raw     string        `name:"raw" type:"path" placeholder:"FILE" help:"Write the table of all interfaces there."`
	Timeout time.Duration `name:"timeout" env:"COPPER_TIMEOUT" default:"5m" placeholder:"D" help:"Until all hosts have told theirs (${default})."`
}

// Validate is called by kong.
func (c *bookMakeCmd) Validate() error {
	_, err := (&launch.Table{}).Book(c.Net)
	return err
}

func (c *bookMakeCmd) Run() error {
	boot, err := mpiboot.Start(mpiboot.Bound(c.Timeout))
	var wrong *mpiboot.LaunchError
	if errors.As(err, &wrong) {
		return &launch.InputError{Err: err}
	}
	if err != nil {
		return err
	}
	interfaces, err := launch.Interfaces()
	if err != nil {
		return boot.Ready(err)
	}
	roster, err := boot.Exchange(mpiboot.Card{Version: protocol, Interfaces: interfaces})
	if err == nil {
		err = boot.Ready(nil)
	}
	if err != nil || roster.Self != 0 {
		return err
	}
	_, table := addressBook(roster)
	if c.Raw != "" {
		if err := os.WriteFile(c.Raw, table.Text(), 0o644); err != nil {
			return err
		}
	}
	book, err := table.Book(c.Net)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(book.Text())
	return err
}

type bookFilterCmd struct {
	File  string   `arg:"" type:"path" help:"Address book."`
	Hosts []string `arg:"" optional:"" name:"host" help:"Hosts."`
	From  string   `name:"hosts-from" placeholder:"FILE" help:"A file with the hosts instead, one a line; - for the standard input (the hosts of the scheduler's job)."`
}

func (c *bookFilterCmd) Run() error {
	hosts := c.Hosts
	if len(hosts) == 0 {
		var err error
		if hosts, err = c.named(); err != nil {
			return err
		}
	}
	book, _, err := launch.ReadBook(c.File)
	if err == nil {
		book, err = book.Filter(hosts)
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(book.Text())
	return err
}

// named are the hosts in a file.
func (c *bookFilterCmd) named() ([]string, error) {
	var in io.Reader = os.Stdin
	switch c.From {
	case "":
		allocation, err := launch.FindAllocation(os.Getenv)
		if err == nil && allocation.Hosts == nil {
			err = launch.BadInput("for which hosts? Name them, or a file with them: --hosts-from FILE")
		}
		return allocation.Hosts, err
	case "-":
	default:
		f, err := os.Open(c.From)
		if err != nil {
			return nil, &launch.InputError{Err: err}
		}
		defer f.Close()
		in = f
	}
	var hosts []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		hosts = append(hosts, strings.Fields(lines.Text())...)
	}
	if lines.Err() == nil && len(hosts) == 0 {
		return nil, launch.BadInput("%s names no host", c.From)
	}
	return hosts, lines.Err()
}

type bookCheckCmd struct {
	File string `arg:"" type:"path" help:"Address book."`
}

func (c *bookCheckCmd) Run() error {
	book, _, err := launch.ReadBook(c.File)
	if err != nil {
		return err
	}
	kinds := map[string]int{}
	for _, e := range book.Entries {
		for _, endpoint := range e.Endpoints {
			scheme, _, _ := strings.Cut(endpoint, "://")
			kinds[scheme]++
		}
	}
	var found []string
	for scheme, n := range kinds {
		found = append(found, fmt.Sprintf("%d %s", n, scheme))
	}
	slices.Sort(found)
	fmt.Printf("%s: %d hosts, endpoints: %s\n", c.File, len(book.Entries), strings.Join(found, ", "))
	return nil
}
