package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/profiling"
)

// profileInput is what the commands that work on a job's files have in common.
type profileInput struct {
	Dir string `arg:"" type:"path" help:"The job's directory, or one with daemons' files."`
	Tag string `name:"tag" default:"final" placeholder:"TAG" help:"Which of the job's sets: final, pre-destroy or runtime-snapshot-... (${default})."`
	Out string `name:"output-dir" type:"path" placeholder:"DIR" help:"Where to write (the job's profiling/cluster)."`
}

// find finds the daemons' files of that name.
func (i *profileInput) find(name string) (profiling.Found, error) {
	f, err := profiling.Find(i.Dir, i.Tag, name, func(dir string) (bool, string) {
		state, err := launch.JobDir(dir).ReadState()
		switch {
		case err != nil:
			return true, err.Error()
		case state == nil:
			return false, ""
		case state.Phase.Running():
			return true, fmt.Sprintf("the job is %s: the daemons write when it stops, or with -I while it runs, if it was started with -P, -N, -A or -I", state.Phase)
		}
		return true, fmt.Sprintf("the job is %s: it was to be started with -P, -N, -A or -I", state.Phase)
	})
	if err != nil {
		return f, launch.BadInput("%w", err)
	}
	if i.Out == "" {
		i.Out = f.Out()
	}
	return f, nil
}

// ranks is the number of the job's ranks, 0 where it is not known.
func ranks(job profiling.Dir) int {
	if job == "" {
		return 0
	}
	state, err := launch.JobDir(job).ReadState()
	if err != nil || state == nil {
		return 0
	}
	return len(state.Ranks)
}

type profileAggregateCmd struct {
	profileInput
	Prefix string   `arg:"" optional:"" default:"cluster" help:"What the names of the written files begin with (${default})."`
	Roots  []string `name:"usage-root" sep:":" placeholder:"PATH" help:"Also the lists of copper profile paths, with what exists below this path of the view."`
	Target string   `name:"target" type:"path" default:"/" placeholder:"DIR" help:"Directory that the mounts showed, for --usage-root (${default})."`
}

// Validate is called by kong.
func (c *profileAggregateCmd) Validate() error {
	return errors.Join(checkOutputPrefix(c.Prefix), checkRoots(c.Roots))
}

func (c *profileAggregateCmd) Run() error {
	found, err := c.find(profiling.AggregateFile)
	if err != nil {
		return err
	}
	sum, err := profiling.Aggregate(found.Set)
	if err != nil {
		return err
	}
	expected := ranks(found.Job)
	files, err := sum.Write(c.Out, c.Prefix, expected)
	if err != nil {
		return err
	}
	printWritten(files)
	if len(sum.Unreadable) > 0 {
		fmt.Fprintf(os.Stderr, "copper: the files of %d daemons can't be read, such as %s\n", len(sum.Unreadable), sum.Unreadable[0])
	}
	if sum.Files < expected {
		fmt.Fprintf(os.Stderr, "copper: %d of %d ranks are in the sum: the others have not written yet, or died\n", sum.Files, expected)
	}
	if len(c.Roots) == 0 {
		return nil
	}
	return (&profilePathsCmd{profileInput: c.profileInput, Roots: c.Roots, Target: c.Target}).Run()
}

func checkOutputPrefix(prefix string) error {
	if strings.ContainsRune(prefix, '/') || strings.HasPrefix(prefix, ".") {
		return fmt.Errorf("prefix %q: want the beginning of a file's name; --output-dir names the directory", prefix)
	}
	return nil
}

func checkRoots(roots []string) error {
	for _, root := range roots {
		if root == "" || root[0] != '/' {
			return fmt.Errorf("--usage-root=%s: want an absolute path of the view", root)
		}
	}
	return nil
}

type profilePathsCmd struct {
	profileInput
	Roots  []string `name:"usage-root" sep:":" placeholder:"PATH" help:"Path of the view below which everything could have been used; may be repeated (the environments and package directories that were used)."`
	Target string   `name:"target" type:"path" default:"/" placeholder:"DIR" help:"Directory that the mounts showed (${default})."`
}

// Validate is called by kong.
func (c *profilePathsCmd) Validate() error { return checkRoots(c.Roots) }

func (c *profilePathsCmd) Run() error {
	found, err := c.find(profiling.PathsFile)
	if err != nil {
		return err
	}
	use, err := profiling.UsePaths(found.Set, c.Target, c.Roots)
	if err != nil {
		return err
	}
	files, err := use.Write(c.Out)
	if err != nil {
		return err
	}
	printWritten(files)
	return nil
}

func printWritten(files []string) {
	for _, f := range files {
		fmt.Println(f)
	}
}
