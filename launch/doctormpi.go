package launch

import (
	"fmt"
	"path/filepath"
)

// CheckMPI looks for the launcher that belongs to the MPI in this binary, and for those that may be taken
// for it.
func (d Doctor) CheckMPI() []Finding {
	mpi, err := LinkedMPI(d.Program)
	switch {
	case err != nil:
		return []Finding{problem("install the binary again", "%v", err)}
	case mpi == NoMPI:
		return []Finding{warning("for several nodes use a copper built with MPI (make, make mpich)", "this copper was built without MPI: it can serve one node")}
	}
	return d.launcherFor(mpi)
}

func (d Doctor) launcherFor(mpi MPI) []Finding {
	built := fmt.Sprintf("this copper was built with %s", mpi)
	load := fmt.Sprintf("load the module of %s, or use a copper built for the other MPI (make, make mpich)", mpi)
	strangers, unknown := d.strangers(mpi)
	launcher, err := FindLauncher(mpi, 2, d.scheduler(), d.Search)
	switch {
	case err == nil:
		path := launcher.Command(Step{Ranks: 2}).Args[0]
		findings := []Finding{fine("%s; its launcher is %s", built, path)}
		if strangers != nil {
			findings = append(findings, warning("in job scripts call "+filepath.Base(path)+" by this name", "%s, but %s", built, few(strangers)))
		}
		return findings
	case unknown != nil:
		return []Finding{warning("if that is a launcher of "+string(mpi)+" all is well; else "+load, "%s; %s", built, few(append(unknown, strangers...)))}
	case strangers != nil:
		return []Finding{problem(load, "%s, whose launcher is not in PATH; %s", built, few(strangers))}
	}
	return []Finding{problem(load, "%v", err)}
}

// strangers are the programs in PATH that have a launcher's usual name, and start ranks of another MPI than
// mpi, or of one that is not known.
func (d Doctor) strangers(mpi MPI) (others, unknown []string) {
	for _, name := range []string{"mpiexec", "mpirun"} {
		path, err := d.Search.Look(name)
		if err != nil {
			continue
		}
		switch version := d.Search.Version(path); {
		case starts(version, mpi), mpi != OpenMPILib && isPALS(path, version):
		case starts(version, OpenMPILib):
			others = append(others, fmt.Sprintf("%s is %s's", path, OpenMPILib))
		case starts(version, MPICHLib):
			others = append(others, fmt.Sprintf("%s is %s's", path, MPICHLib))
		default:
			unknown = append(unknown, path+" is of no MPI that copper knows")
		}
	}
	return others, unknown
}

func (d Doctor) scheduler() Scheduler {
	allocation, _ := FindAllocation(d.Getenv) // what is wrong with it, another check tells
	return allocation.Scheduler
}
