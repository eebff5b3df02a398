package launch

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// plugins are those of `srun --mpi` by which the ranks of an MPI find each other.
var plugins = map[MPI][]string{OpenMPILib: {"pmix"}, MPICHLib: {"pmi2", "cray_shasta"}}

// CheckMPI looks for the launcher that belongs to the MPI in this binary, and for those that are taken
// for it.
func (d Doctor) CheckMPI(ctx context.Context) []Finding {
	mpi, err := LinkedMPI(d.Program)
	switch {
	case err != nil:
		return []Finding{problem("install the binary again", "%v", err)}
	case mpi == NoMPI:
		return []Finding{warning("for several nodes use a copper built with MPI (make, make mpich)", "this copper was built without MPI: it can serve one node")}
	}
	return d.launchersOf(ctx, mpi)
}

func (d Doctor) launchersOf(ctx context.Context, mpi MPI) (findings []Finding) {
	built := fmt.Sprintf("this copper was built with %s", mpi)
	right := ""
	var strangers []string // "mpirun is MPICH's"
	for _, name := range candidates[mpi] {
		path, err := d.Search.Look(name)
		if err != nil {
			continue
		}
		switch of := launcherOf(d.Search.Version(path)); {
		case of == mpi && right == "":
			right = path
		case of != mpi && of != NoMPI:
			strangers = append(strangers, fmt.Sprintf("%s is %s's", path, of))
		case of == NoMPI:
			strangers = append(strangers, fmt.Sprintf("%s is of no MPI that copper knows", path))
		}
	}
	srun, err := d.Search.Look("srun")
	inSlurm := err == nil && d.Getenv("SLURM_JOB_ID") != ""
	load := fmt.Sprintf("load the module of %s, or use a copper built for the other MPI (make, make mpich)", mpi)
	switch {
	case right != "":
		findings = append(findings, fine("%s; its launcher is %s", built, right))
		if strangers != nil {
			findings = append(findings, warning("in job scripts call "+filepath.Base(right)+" by this name", "%s, but %s", built, few(strangers)))
		}
	case inSlurm:
		findings = append(findings, fine("%s; its launcher is %s", built, srun))
	case strangers != nil && slices.ContainsFunc(strangers, func(s string) bool { return strings.HasSuffix(s, "copper knows") }):
		findings = append(findings, warning("if that is the launcher of "+string(mpi)+" all is well; else "+load, "%s; %s", built, few(strangers)))
	case strangers != nil:
		findings = append(findings, problem(load, "%s, whose launcher is not in PATH; %s", built, few(strangers)))
	default:
		findings = append(findings, problem(load, "%s, whose launcher is not in PATH (looked for %s)", built, strings.Join(candidates[mpi], ", ")))
	}
	if inSlurm {
		findings = append(findings, d.srunPlugins(ctx, mpi)...)
	}
	return findings
}

// srunPlugins: with a plugin of another MPI every rank is alone, and says nothing.
func (d Doctor) srunPlugins(ctx context.Context, mpi MPI) []Finding {
	list := d.Plugins(ctx)
	for _, p := range plugins[mpi] {
		if strings.Contains(list, p) {
			return []Finding{fine("srun has the plugin for %s: srun --mpi=%s", mpi, p)}
		}
	}
	return []Finding{warning("start the step with the launcher of "+string(mpi)+", or ask for the plugin",
		"srun has no plugin %s, which %s wants", strings.Join(plugins[mpi], " or "), mpi)}
}
