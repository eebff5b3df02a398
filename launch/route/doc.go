// Package route answers for what it means to send a path through the mount: which shell assignments do
// it for a directory of Python packages, a virtual or conda environment, a library, a program or an
// input file, and which of the known mistakes that would be. The rules have the numbers that the users'
// guide gives them:
//
//  1. prepend the mount only where a path needs it, never everywhere at once
//  2. of a virtual environment or package directory only the entry in PYTHONPATH
//  3. of a conda environment only the path given to `conda activate`
//  4. PATH only if the binary itself must come through Copper
//  5. of inputs only those arguments; of a library only its entry in LD_LIBRARY_PATH
//  6. never outputs, checkpoints, scratch or temporary directories
//  7. service cores stay out of the application's binding list
//  8. hard-coded absolute paths bypass the mount
//  9. what is part of the node gains nothing
//
// It never touches a mount: paths below one are looked at behind it. It runs nothing and changes
// nothing; whoever looks at paths that may hang is [Router.Look].
package route
