"""Loads package.py as Spack does, with a Spack of a few lines, and builds by recording what is run.

    python3 launch/spack/package_test.py
"""

import pathlib
import sys
import types
import unittest

HERE = pathlib.Path(__file__).parent


class Recorder:
    """What package.py takes from Spack. Each directive and each run is noted."""

    def __init__(self):
        self.directives, self.runs, self.env = [], [], {}

    def directive(self, name):
        return lambda *args, **options: self.directives.append((name, args, options))

    def which(self, name, required=False):
        def run(*args, **options):
            self.runs.append((str(name), *args))
            return f"<{name} {' '.join(args)}>\n"

        run.add_default_env = self.env.__setitem__
        return run

    def make(self, *args):
        self.runs.append(("make", *args))

    def load(self):
        package = types.ModuleType("spack.package")
        for name in ("version", "variant", "depends_on", "conflicts"):
            setattr(package, name, self.directive(name))
        package.which, package.make = self.which, self.make
        package.join_path = lambda *parts: "/".join(map(str, parts))
        generic = types.ModuleType("spack_repo.builtin.build_systems.generic")
        generic.Package = type("Package", (), {})
        modules = {"spack": types.ModuleType("spack"), "spack.package": package, generic.__name__: generic}
        for parent in ("spack_repo", "spack_repo.builtin", "spack_repo.builtin.build_systems"):
            modules[parent] = types.ModuleType(parent)
        saved = {name: sys.modules.get(name) for name in modules}
        sys.modules.update(modules)
        try:
            names = {}
            exec(compile((HERE / "package.py").read_text(), "package.py", "exec"), names)
        finally:
            for name, module in saved.items():
                if module is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = module
        return names["Copper"]


class Environment(dict):
    def set(self, name, value):
        self[name] = value


class RecipeTest(unittest.TestCase):
    def setUp(self):
        self.spack = Recorder()
        self.Copper = self.spack.load()

    def package(self, mpi):
        copper = self.Copper()
        copper.version, copper.prefix = "main", "/opt/copper"
        copper.stage = types.SimpleNamespace(path="/stage")
        copper.spec = types.SimpleNamespace(variants={"mpi": types.SimpleNamespace(value=mpi)})
        return copper

    def test_dependencies(self):
        needs = {args[0]: options for name, args, options in self.spack.directives if name == "depends_on"}
        self.assertEqual(needs["go@1.26:"]["type"], "build")
        self.assertEqual(needs["libfuse@3:"]["type"], "run")
        (variant,) = [options for name, args, options in self.spack.directives if name == "variant" and args == ("mpi",)]
        self.assertIn(variant["default"], variant["values"])
        for mpi in variant["values"]:
            self.assertEqual(needs[mpi]["when"], f"mpi={mpi}")
            self.assertIn(mpi, self.Copper.pkg_config_names)

    def test_install(self):
        for mpi, name in (("openmpi", "ompi-c"), ("mpich", "mpich")):
            with self.subTest(mpi=mpi):
                copper = self.package(mpi)
                self.spack.runs.clear()
                copper.install(copper.spec, copper.prefix)
                *_, build, install = self.spack.runs
                self.assertEqual(self.spack.env["CGO_LDFLAGS"], f"<pkg-config --libs {name}>")
                self.assertIn(f"<pkg-config --cflags {name}>", self.spack.env["CGO_CFLAGS"])
                self.assertEqual(build[:4], ("go", "build", "-tags", "mpi"))
                self.assertEqual(install, ("make", "install-files", "PREFIX=/opt/copper", "VERSION=main"))

    def test_environment(self):
        env = Environment()
        self.package("mpich").setup_build_environment(env)
        self.assertTrue(env["GOCACHE"].startswith("/stage/"))
        env = Environment()
        self.package("mpich").setup_run_environment(env)
        self.assertEqual(env, {"COPPER_ROOT": "/opt/copper"})


if __name__ == "__main__":
    unittest.main()
