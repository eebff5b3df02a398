package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/launch/route"
)

type envCmd struct {
	jobOptions
	viewOptions
	PythonPath []string `name:"pythonpath" sep:"none" placeholder:"DIR" help:"Directory or archive of Python packages, for PYTHONPATH; may be repeated, as the others may."`
	Venv       []string `name:"venv" sep:"none" placeholder:"DIR" help:"Virtual environment: only its site-packages, for PYTHONPATH."`
	Conda      []string `name:"conda" sep:"none" placeholder:"PREFIX" help:"Conda environment: sets COPPER_CONDA_PREFIX, to be given to conda activate."`
	Library    []string `name:"ld" sep:"none" placeholder:"DIR" help:"Directory of a shared library, for LD_LIBRARY_PATH."`
	Program    []string `name:"path" sep:"none" placeholder:"DIR" help:"Directory of programs, for PATH; only if the binary itself must come through Copper."`
	File       []string `name:"file" sep:"none" placeholder:"PATH" help:"Input: prints its path below the mount, for the command line; with no other of these."`
	Undo       bool     `name:"undo" help:"Print the assignments by which the variables name the same paths without the mount."`
	Shell      string   `name:"shell" placeholder:"SHELL" help:"sh, csh or fish (the shell that runs this, else $$SHELL)."`
	JSON       bool     `name:"json" help:"Print JSON; its fields are those of route.Plan."`
}

// viewOptions say which mount is meant where no job can tell.
type viewOptions struct {
	Mount  string `name:"mount" short:"v" env:"COPPER_MOUNT" type:"path" placeholder:"DIR" help:"Mount point, also before there is a job; {host} is replaced (the running job's)."`
	Target string `name:"target" env:"COPPER_TARGET" type:"path" default:"/" placeholder:"DIR" help:"With --mount: the directory that it shows (${default})."`
}

// Help has what the options can't say.
func (*envCmd) Help() string {
	return `eval "$(copper env --pythonpath /lus/packages)" sets the variables of the shell; in csh: eval "` + "`copper env …`" + `", in fish: copper env … | source. ` +
		`Warnings go to standard error. Of what can't be routed nothing is, and eval fails.`
}

const helloBound = 10 * time.Second

// view is the mount that is meant: the one that was given, else the running job's on this host.
func (o *viewOptions) view(job *jobOptions) (route.View, error) {
	if o.Mount == "" || strings.Contains(o.Mount, "{rank}") {
		finder, found, err := job.find()
		if err != nil {
			var none *launch.NoJobError
			switch {
			case !errors.As(err, &none):
			case o.Mount != "":
				err = launch.BadInput("--mount=%s: there is no job that could tell the rank: put its number in place of {rank}", o.Mount)
			default:
				err = fmt.Errorf("%w; -v DIR names the mount before there is one", err)
			}
			return route.View{}, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), helloBound)
		defer cancel()
		hello, err := finder.Hello(ctx, found)
		if err != nil {
			return route.View{}, err
		}
		return route.View{Mount: hello.Mount, Target: hello.Target}, nil
	}
	host, err := launch.ShortHost()
	if err != nil {
		return route.View{}, err
	}
	if strings.Contains(o.Target, "{rank}") {
		return route.View{}, launch.BadInput("--target=%s: put the rank's number in place of {rank}", o.Target)
	}
	v := route.View{Mount: launch.Fill(o.Mount, 0, host), Target: launch.Fill(o.Target, 0, host)}
	if v.Mount == "/" {
		return v, launch.BadInput("--mount=/: want the directory that the mount is at")
	}
	return v, nil
}

func (c *envCmd) Run() error {
	err := c.print()
	if err != nil && !c.JSON && len(c.File) == 0 {
		// eval of nothing would succeed, and the job go on without Copper.
		_, _ = io.WriteString(os.Stdout, route.Failed)
	}
	return err
}

func (c *envCmd) print() error {
	wishes, err := c.wishes()
	switch {
	case err != nil:
		return err
	case len(wishes) == 0 && !c.Undo:
		return launch.BadInput("name what is to go through the mount: --pythonpath, --venv, --conda, --ld, --path or --file")
	case len(wishes) > 0 && c.Undo:
		return launch.BadInput("--undo takes no paths")
	case len(c.Conda) > 1:
		return launch.BadInput("--conda was given %d times: one environment can be active", len(c.Conda))
	case len(c.File) > 0 && len(c.File) < len(wishes):
		return launch.BadInput("--file prints a path, the others assignments: ask for them one after the other")
	}
	shell := route.ThisShell(os.Getppid(), os.Getenv)
	if c.Shell != "" {
		if shell, err = route.ParseShell(c.Shell); err != nil {
			return err
		}
	}
	view, err := c.view(&c.jobOptions)
	if err != nil {
		return err
	}
	places, err := launch.ReadPlacement()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	router := route.Router{View: view, Getenv: os.Getenv, Places: places,
		Look: func(paths []string) map[string][]launch.Finding { return look(program, paths) }}
	var plan route.Plan
	if c.Undo {
		plan = router.Undo()
	} else if plan, err = router.Plan(wishes); err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(plan)
	}
	text, err := shell.Text(plan.Assign)
	if err != nil {
		return err
	}
	for _, r := range plan.Remarks {
		level := "note"
		if r.Warning {
			level = "warning"
		}
		fmt.Fprintf(os.Stderr, "copper env: %s: %s\n", level, r.Text)
		if r.Advice != "" {
			fmt.Fprintf(os.Stderr, "%*s-> %s\n", len("copper env: "), "", r.Advice)
		}
	}
	if len(c.File) > 0 {
		for _, r := range plan.Routes {
			text += r.Routed + "\n"
		}
	}
	_, err = io.WriteString(os.Stdout, text)
	return err
}

// wishes are the paths that were named, absolute.
func (c *envCmd) wishes() (wishes []route.Wish, err error) {
	for _, named := range []struct {
		kind  route.Kind
		paths []string
	}{
		{route.PythonPath, c.PythonPath}, {route.Venv, c.Venv}, {route.Conda, c.Conda},
		{route.Library, c.Library}, {route.Program, c.Program}, {route.File, c.File},
	} {
		for _, path := range named.paths {
			if path == "" {
				return nil, launch.BadInput("--%s is empty: want a path", named.kind)
			}
			wishes = append(wishes, route.Wish{Kind: named.kind, Path: kong.ExpandPath(path)})
		}
	}
	return wishes, nil
}

// look looks at paths as copper doctor does, by processes of program that may hang in its stead.
func look(program string, paths []string) map[string][]launch.Finding {
	found := map[string][]launch.Finding{}
	var exams []launch.Exam
	for _, path := range paths {
		exams = append(exams, launch.Exam{Name: path, Args: []string{"check", "--", "path", path}, Bound: pathBound, Hung: launch.HungPath(path, pathBound)})
	}
	for _, f := range launch.Examine(context.Background(), program, exams) {
		found[f.Check] = append(found[f.Check], f)
	}
	return found
}
