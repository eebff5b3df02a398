package route

// Kind is what a path is to the application, and so how it is routed.
type Kind string

// The kinds.
const (
	PythonPath Kind = "pythonpath" // a directory or archive of Python packages
	Venv       Kind = "venv"       // a virtual environment
	Conda      Kind = "conda"      // the prefix of a conda environment
	Library    Kind = "ld"         // a directory of shared libraries
	Program    Kind = "path"       // a directory of programs
	File       Kind = "file"       // an input: a file or a directory
)

// CondaPrefix is the variable with the path to give to `conda activate`.
const CondaPrefix = "COPPER_CONDA_PREFIX"

// list is the variable, a list with colons, that a kind prepends to; "" if it does not.
func (k Kind) list() string {
	switch k {
	case PythonPath, Venv:
		return "PYTHONPATH"
	case Library:
		return "LD_LIBRARY_PATH"
	case Program:
		return "PATH"
	}
	return ""
}

// lists are the variables that are lists.
var lists = []string{"PYTHONPATH", "LD_LIBRARY_PATH", "PATH"}
