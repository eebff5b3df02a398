// Command copper serves files of a parallel file system to all nodes of a job. See `copper --help`.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/launch"
)

// cli is all subcommands.
type cli struct {
	step
	Launch   launchCmd   `cmd:"" help:"Start the daemons in the background and return when every mount answers."`
	Wait     waitCmd     `cmd:"" help:"Return when every mount of a job answers whose daemons a script starts itself."`
	Status   statusCmd   `cmd:"" help:"Show what the daemons have done so far."`
	Stop     stopAtCmd   `cmd:"" help:"Unmount everywhere, end the daemons and print what was saved."`
	Doctor   doctorCmd   `cmd:"" help:"Look for what keeps Copper from working on this node, and say what to do about it."`
	Clear    clearCmd    `cmd:"" help:"Drop what all nodes have cached, all or under a path prefix."`
	Warm     warmCmd     `cmd:"" help:"Load a manifest or a directory into all nodes, before the application asks."`
	Env      envCmd      `cmd:"" help:"Print the shell assignments that send paths through the mount."`
	Advise   adviseCmd   `cmd:"" help:"Watch what a command reads, and say what of it is worth sending through the mount."`
	Profile  profileCmd  `cmd:"" help:"What a job did: totals, paths, and what is counted."`
	Simulate simulateCmd `cmd:"" help:"Predict the start-up time at numbers of nodes, with Copper and without."`
	Book     bookCmd     `cmd:"" name:"addressbook" help:"Make, filter and check address books."`
	Version  versionCmd  `cmd:"" help:"Print the version and the MPI that this binary was built with."`

	inner
	Docs docsCmd `cmd:"" hidden:"" help:"Write manual pages and completions, for make install."`

	Open  openCmd  `cmd:"" hidden:"" help:"Open an endpoint for a moment, for copper serve."`
	Check checkCmd `cmd:"" hidden:"" help:"Do one check of copper doctor; may hang as long as what it looks at."`
	Sweep sweepCmd `cmd:"" hidden:"" help:"End what runs of a job on this host, by signals, and remove what it left."`
	Trial trialCmd `cmd:"" hidden:"" help:"Mount for a moment, for copper doctor."`
	Visit visitCmd `cmd:"" hidden:"" help:"Look at the paths of a manifest through a mount; may hang as long as it does."`
	Table tableCmd `cmd:"" hidden:"" help:"Print the options of the sites' wrappers, as launch/README.md has them."`
}

// step is the subcommand that all nodes run at once, as a job step.
type step struct {
	Serve serveCmd `cmd:"" help:"Keep one node's daemon running: what mpiexec or srun starts once per node."`
}

// inner is those that a rank runs while it starts.
type inner struct {
	Daemon daemonCmd `cmd:"" hidden:"" help:"Serve one node, under the supervision of copper serve."`
	Probe  probeCmd  `cmd:"" hidden:"" help:"Ask a mount; may hang as long as it does."`
}

// grammar is what the command line args is read by. That of all subcommands takes longer to be made than
// a mount to answer, so a job's start does without it.
func grammar(args []string) any {
	if len(args) > 0 {
		switch args[0] {
		case "daemon", "probe":
			return &inner{}
		case "serve":
			return &step{}
		}
	}
	return &cli{}
}

const description = `Copper reads each file of a parallel file system once per job and hands it from node to node.

Exit codes: 0 done; 1 failed; 2 bad input, nothing was started; 130 interrupted by Ctrl-C.`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// exited carries the exit code of --help out of the parser, which calls no way back.
type exited int

func run(args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exited)
			if !ok {
				panic(p)
			}
			code = int(e)
		}
	}()
	parser, err := kong.New(grammar(args), kong.Name("copper"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), siteDefaults(namedSite(args), installation()))
	if err != nil {
		panic(err) // the tables above are wrong
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		var failed *kong.ParseError
		if errors.As(err, &failed) {
			parser.Stdout = stderr
			_ = failed.Context.PrintUsage(true)
		}
		fmt.Fprintf(stderr, "copper: %v\n", err)
		return launch.ExitBadInput
	}
	err = ctx.Run()
	var coded exitCode
	if errors.As(err, &coded) {
		return int(coded)
	}
	if err != nil {
		fmt.Fprintf(stderr, "copper: %v\n", err)
	}
	return launch.ExitCode(err)
}

// exitCode is an error that has been told already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
