package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/route"
	"github.com/copper-hpc/copper/launch/route/advise"
	"github.com/copper-hpc/copper/launch/route/trace"
)

type adviseCmd struct {
	jobOptions
	viewOptions
	Local   bool     `name:"local" help:"Count this node's own file systems as shared, for trying out what will be elsewhere in the job."`
	Output  string   `name:"output" short:"o" type:"path" placeholder:"FILE" help:"Where the advice goes (standard error)."`
	JSON    bool     `name:"json" help:"Print JSON; its fields are those of advise.Report."`
	Command []string `arg:"" passthrough:"" name:"command" help:"Command and its arguments, after --."`
}

// Help has what the options can't say.
func (*adviseCmd) Help() string {
	return `copper advise -- python3 main.py runs the command under strace, with its own input, output and exit code. ` +
		`It waits for everything that the command has started. No job is needed; with one, it says what goes through the mount already.`
}

func (c *adviseCmd) Run() error {
	command := c.Command
	if command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 || command[0] == "" {
		return launch.BadInput("name the command: copper advise -- COMMAND …")
	}
	view, options, err := c.inUse()
	if err != nil {
		return err
	}
	strace, err := trace.Find()
	if err != nil {
		return err
	}
	var out io.Writer = os.Stderr
	if c.Output != "" {
		f, err := os.Create(c.Output)
		if err != nil {
			return launch.BadInput("%w", err)
		}
		defer f.Close()
		out = f
	}
	tally := advise.NewTally(view)
	status, err := strace.Run(command, tally.Add)
	if err != nil {
		return err
	}
	system, err := advise.ThisSystem(c.Local)
	if err != nil {
		return err
	}
	report := tally.Report(system, command, status, options)
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = report.WriteText(out)
	}
	if err == nil && status != 0 {
		err = exitCode(status)
	}
	return err
}

// inUse is the mount that the command may use, nil where none is known, and the options by which copper
// env finds it.
func (c *adviseCmd) inUse() (*route.View, []string, error) {
	view, err := c.view(&c.jobOptions)
	if c.Mount == "" {
		if err != nil {
			return nil, nil, nil // there need be no job
		}
		return &view, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	options := []string{"-v", view.Mount}
	if view.Target != "/" {
		options = append(options, "--target", view.Target)
	}
	return &view, options, nil
}
