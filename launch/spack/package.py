# Recipe for Spack 1.0 or later. In a repository of the site's own it is packages/copper/package.py.

from spack_repo.builtin.build_systems.generic import Package

from spack.package import *


class Copper(Package):
    """Read-only cooperative cache of a parallel file system: each file is read from it once per job and
    handed from node to node, so that thousands of ranks can start at once."""

    homepage = "https://github.com/copper-hpc/copper"
    git = "https://github.com/copper-hpc/copper.git"

    version("main", branch="main")

    variant(
        "mpi",
        default="openmpi",
        values=("openmpi", "mpich"),
        multi=False,
        description="MPI that starts the daemons; it must be that of the site's launcher",
    )

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("go@1.26:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("openmpi", when="mpi=openmpi", type=("build", "link", "run"))
    depends_on("mpich", when="mpi=mpich", type=("build", "link", "run"))
    # Let it be an external package: an ordinary user can mount only by a fusermount3 that is setuid root.
    depends_on("libfuse@3:", type="run")

    conflicts("platform=darwin", msg="Copper needs Linux")
    conflicts("platform=windows", msg="Copper needs Linux")

    sanity_check_is_file = ["bin/copper", "share/man/man1/copper.1"]

    # The names of the MPIs to pkg-config.
    pkg_config_names = {"openmpi": "ompi-c", "mpich": "mpich"}

    def setup_build_environment(self, env):
        # Go's caches do not see which mpi.h was used, and must not be those of the user.
        env.set("GOCACHE", join_path(self.stage.path, "go-cache"))
        env.set("GOPATH", join_path(self.stage.path, "go"))
        env.set("GOFLAGS", "-modcacherw")

    def setup_run_environment(self, env):
        env.set("COPPER_ROOT", self.prefix)

    def install(self, spec, prefix):
        name = self.pkg_config_names[spec.variants["mpi"].value]
        pkg_config = which("pkg-config", required=True)
        go = which("go", required=True)
        go.add_default_env("CGO_ENABLED", "1")
        go.add_default_env("CGO_CFLAGS", "-O2 -g " + pkg_config("--cflags", name, output=str).strip())
        go.add_default_env("CGO_LDFLAGS", pkg_config("--libs", name, output=str).strip())
        go("build", "-tags", "mpi", "-ldflags", f"-X main.version={self.version}", "-o", "bin/copper", "./cmd/copper")
        make("install-files", f"PREFIX={prefix}", f"VERSION={self.version}")

    def test_version(self):
        """the installed program tells how it was built"""
        copper = which(self.prefix.bin.copper)
        family = {"openmpi": "Open MPI", "mpich": "MPICH"}[self.spec.variants["mpi"].value]
        assert f"MPI: {family}" in copper("version", output=str.split, error=str.split)
