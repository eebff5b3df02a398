// Command record runs a command with a directory tree shown through FUSE, as Copper shows it, and
// writes the manifest of what the command asked of it:
//
//	record DIR OUT COMMAND [ARG…]
//
// In the arguments and in the environment that it hands on, {mount} stands for where DIR is shown. The manifest's
// paths are those within DIR. What the embedded manifest of `copper simulate` was made with:
//
//	mkdir -p /tmp/pfs/site-packages && cp -a /usr/lib/python3/dist-packages/{numpy,scipy} /tmp/pfs/site-packages
//	PYTHONPATH={mount}/site-packages PYTHONDONTWRITEBYTECODE=1 \
//		go run ./ci/record /tmp/pfs scipy.manifest /usr/bin/python3 -c 'import scipy.stats'
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: record DIR OUT COMMAND [ARG…]")
		os.Exit(2)
	}
	if err := record(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(dir, out string, command []string) (err error) {
	memory, err := store.NewMemory(1 << 30)
	if err != nil {
		return err
	}
	origin, err := store.NewOrigin(dir, memory, store.OriginOptions{})
	if err != nil {
		return err
	}
	mount, err := os.MkdirTemp("", "copper-record-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(mount)) }()
	recorder := manifest.NewRecorder(store.NewStore(origin, memory))
	m, err := fuse.New(fuse.Options{Mountpoint: mount, Source: recorder})
	if err != nil {
		return err
	}
	if err := run(command, mount); err != nil {
		return errors.Join(err, m.Unmount())
	}
	if err := m.Unmount(); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(manifest.Write(f, recorder.Accesses()), f.Close())
}

func run(command []string, mount string) error {
	fill := func(texts []string) []string {
		filled := make([]string, len(texts))
		for i, text := range texts {
			filled[i] = strings.ReplaceAll(text, "{mount}", mount)
		}
		return filled
	}
	command = fill(command)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = fill(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
