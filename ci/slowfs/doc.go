// Package slowfs plays the parallel file system (PFS): one server, a FUSE pass-through over one
// backing directory, with one mount for each simulated compute node. Each mount has a kernel
// cache of its own, as each node's PFS client has; all mounts draw on one budget of metadata
// operations and bytes per second, as all nodes of a machine do.
//
//	node 1's processes ─ kernel cache ─ mount 1 ─┐
//	node 2's processes ─ kernel cache ─ mount 2 ─┼─ faults ─ budget ─ counts ─ backing directory
//	…                                            ┘
//
// What reaches the server is what a PFS would see, and the server counts it ([Counts]): by
// operation, by the class of what was asked about, by mount and by path. One LOOKUP carries a
// name's existence and its attributes. OPEN and OPENDIR reach the server each time; attributes,
// names, pages, link targets and directory contents stay in the kernel for
// [Options].CacheLifetime, and [Server.Changed] takes them back, as a PFS revokes its clients'
// locks. Closing a file is neither counted nor charged, because the kernel does not wait for it;
// extended attributes and ioctls are refused as a PFS client refuses unknown ones: locally.
//
// The view is read-only: every mutation fails with EROFS. The backing directory may change
// underneath. A file that was replaced by another answers ESTALE to whoever still holds the old
// one, as a PFS does. Inode numbers are those of the backing files on every mount; device numbers
// are each mount's own.
//
// The package never touches a path below its own mounts: that would wait for itself. For the same
// reason a backing directory and a mount point may not lie within each other.
package slowfs
