package profiling

import (
	"regexp"
	"strings"
)

// Classes of paths, as outputs name them. The first ones are of paths that exist, the others of
// names that were looked for in vain.
const (
	TorchNative       = "torch native library"
	TorchPython       = "torch Python package"
	SitePackages      = "site-packages"
	PythonStdlib      = "Python stdlib"
	EnvironmentBin    = "environment bin"
	SharedLibrary     = "shared library"
	EnvironmentPrefix = "environment prefix"
	OtherPath         = "other path"

	PythonZipProbe       = "python zip probe"
	VirtualEnvProbe      = "virtual-env probe"
	HwcapsProbe          = "glibc-hwcaps probe"
	MissingSharedLibrary = "missing shared library"
	OtherNegativeProbe   = "other negative probe"
)

var (
	zipProbe     = regexp.MustCompile(`/python[0-9]*\.zip(/|$)`)
	library      = regexp.MustCompile(`\.so(\.[0-9.]+)?$`)
	anyLibrary   = regexp.MustCompile(`\.so(\.[^/]*)?$`)
	packages     = regexp.MustCompile(`/(site|dist)-packages(/|$)`)
	torch        = regexp.MustCompile(`/(site|dist)-packages/(torch|functorch|torchgen|torchvision|torchaudio)(/|$)`)
	stdlib       = regexp.MustCompile(`/lib(64)?/python[0-9.]+(/|$)`)
	binDirectory = regexp.MustCompile(`/s?bin(/[^/]*)?$`)
	environment  = regexp.MustCompile(`^(.*?/(?:envs/[^/]+|\.?venv[^/]*|virtualenvs/[^/]+|(?:(?:mini|ana)conda[^/]*|miniforge[^/]*|conda)(?:/envs/[^/]+)?))(/|$)`)
)

// Class tells what kind of path it is; missing, that there is nothing.
func Class(path string, missing bool) string {
	if missing {
		switch {
		case zipProbe.MatchString(path):
			return PythonZipProbe
		case strings.HasSuffix(path, "/pyvenv.cfg"):
			return VirtualEnvProbe
		case strings.Contains(path, "/glibc-hwcaps"):
			return HwcapsProbe
		case anyLibrary.MatchString(path):
			return MissingSharedLibrary
		}
		return OtherNegativeProbe
	}
	switch {
	case torch.MatchString(path) && library.MatchString(path):
		return TorchNative
	case torch.MatchString(path):
		return TorchPython
	case packages.MatchString(path):
		return SitePackages
	case stdlib.MatchString(path):
		return PythonStdlib
	case binDirectory.MatchString(path):
		return EnvironmentBin
	case library.MatchString(path):
		return SharedLibrary
	case environment.MatchString(path):
		return EnvironmentPrefix
	}
	return OtherPath
}
