package trace

// Op is what an access does.
type Op string

// The operations.
const (
	Open   Op = "open"   // for reading
	Stat   Op = "stat"   // and access, statfs, xattrs: anything by name that neither opens nor changes
	Link   Op = "link"   // readlink
	Exec   Op = "exec"   // execve
	List   Op = "list"   // getdents: once for each call
	Read   Op = "read"   // bytes, by read or mmap
	Change Op = "change" // opened for writing, created, renamed, removed, altered
	Size   Op = "size"   // no access by name: what fstat told of an open file
)

// Access is one access of the command or of a process that it started.
type Access struct {
	Op    Op
	Path  string // absolute and clean, as the process named it: links are not resolved
	Real  string // Open: the path that the kernel found
	Errno string // such as ENOENT, "" for success
	Bytes int64  // Read
	Size  int64  // of the file, -1 where the call does not tell
}

// Missed tells that there was nothing.
func (a Access) Missed() bool { return a.Errno == "ENOENT" || a.Errno == "ENOTDIR" }
