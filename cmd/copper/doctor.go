package main

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/copper-hpc/copper/fuse"
	"github.com/copper-hpc/copper/launch"
)

type doctorCmd struct {
	jobOptions
	netOption
	JSON bool   `name:"json" help:"Print JSON; its fields are those of launch.Diagnosis."`
	Path string `arg:"" optional:"" type:"path" help:"A directory that is to be read through Copper: tells whether that is worth while."`
}

// netOption is the network that is to be looked for.
type netOption struct {
	Net string `name:"net" short:"n" env:"COPPER_NET" default:"tcp" placeholder:"NET" help:"The network that the daemons are to use, as for copper launch (${default})."`
}

// checkWith checks the options of a job too: kong calls one Validate, that of the command.
func (o *netOption) checkWith(job *jobOptions) error {
	if err := job.Validate(); err != nil {
		return err
	}
	return launch.Addressing{Network: o.Net}.Check()
}

// Validate is called by kong.
func (c *doctorCmd) Validate() error { return c.checkWith(&c.jobOptions) }

// Validate is called by kong.
func (c *checkCmd) Validate() error { return c.checkWith(&c.jobOptions) }

const (
	checkBound = 15 * time.Second // for what looks at this node alone
	jobBound   = 40 * time.Second // for all nodes of a job to answer
	pathBound  = 10 * time.Second // for a directory, which may hang
)

// checks are what doctor looks at, in this order.
var checks = []struct {
	name  string
	bound time.Duration
	of    string // what is looked at
	run   func(ctx context.Context, d launch.Doctor, path string) []launch.Finding
}{
	{"device", checkBound, "/dev/fuse", func(context.Context, launch.Doctor, string) []launch.Finding { return checkDevice() }},
	{"fusermount", checkBound, "fusermount3", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding {
		return d.CheckFusermount(fuse.Fusermount())
	}},
	{"kernel", checkBound, "a trial mount", func(ctx context.Context, d launch.Doctor, _ string) []launch.Finding { return checkKernel(ctx, d) }},
	{"mpi", checkBound, "the launchers in PATH", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckMPI() }},
	{"network", checkBound, "libfabric", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckNetwork() }},
	{"scheduler", checkBound, "the scheduler's files", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckScheduler() }},
	{"cores", checkBound, "the cores", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckCores() }},
	{"memory", checkBound, "the memory", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckMemory() }},
	{"files", checkBound, "the limits", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckFiles() }},
	{"places", checkBound, "the directory for outputs (-d)", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckPlaces() }},
	{"mounts", checkBound, "the mounts of this node", func(ctx context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckMounts(ctx) }},
	{"leftovers", checkBound, "what killed daemons left", func(_ context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckLeftovers() }},
	{"job", jobBound, "the running job", func(ctx context.Context, d launch.Doctor, _ string) []launch.Finding { return d.CheckJob(ctx) }},
	{"path", pathBound, "", func(_ context.Context, d launch.Doctor, path string) []launch.Finding { return d.CheckPath(path) }},
}

func (c *doctorCmd) Run() error {
	finder, err := c.finder()
	if err != nil {
		finder.ID = "" // the scheduler's, about which a check has more to say
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var exams []launch.Exam
	for _, check := range checks {
		e := launch.Exam{Name: check.name, Bound: check.bound, Hung: launch.HungCheck(check.of, check.bound),
			Args: []string{"check", "--dir", c.Dir, "--net", c.Net}}
		if c.Job != "" {
			e.Args = append(e.Args, "--job", c.Job)
		}
		e.Args = append(e.Args, "--", check.name)
		if check.name == "path" {
			if c.Path == "" {
				continue
			}
			e.Args, e.Hung = append(e.Args, c.Path), launch.HungPath(c.Path, check.bound)
		}
		exams = append(exams, e)
	}
	d := launch.NewDiagnosis(finder.Host, launch.Examine(context.Background(), program, exams))
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(d)
	} else {
		err = d.WriteText(os.Stdout, launch.IsTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "")
	}
	if err == nil && d.Problems > 0 {
		err = exitCode(launch.ExitFailed)
	}
	return err
}

// checkCmd does one check for doctor, which kills it when it hangs.
type checkCmd struct {
	jobOptions
	netOption
	Name string `arg:"" help:"Check."`
	Path string `arg:"" optional:"" help:"Directory."`
}

func (c *checkCmd) Run() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	finder, err := c.finder()
	if err != nil {
		finder.ID = ""
	}
	for _, check := range checks {
		if check.name == c.Name {
			ctx, cancel := context.WithTimeout(context.Background(), check.bound)
			defer cancel()
			return json.NewEncoder(os.Stdout).Encode(check.run(ctx, launch.NewDoctor(program, finder, c.Net, thisFabric()), c.Path))
		}
	}
	return launch.BadInput("there is no check %q", c.Name)
}
