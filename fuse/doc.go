// Package fuse is the kernel's side of a node: it turns FUSE requests into questions to a
// [store.Source] and decides what the kernel may remember of the answers.
//
// The rule of its caching is that the fastest request is the one that the kernel does not send.
// Entries and attributes are given for a year, pages and directory listings are kept across
// opens, and OPEN, OPENDIR, FLUSH and their like are switched off altogether. What makes that
// safe is a node that is a path *at a version*: a changed file is a new node, the old one keeps
// its attributes and its pages, and whoever still reads the old one gets ESTALE for what the
// kernel does not hold, never bytes of the new version. [Mount.Changed] takes a name out of the
// kernel's memory. Absence is remembered for as long as its [store.Error] says and no longer;
// no other error is remembered at all.
//
// The mount is read-only: the kernel refuses every mutation with EROFS, and so do the handlers.
//
// # What differs from the file system behind
//
// The view is one file system: st_dev is the same everywhere, and inode numbers of file systems other
// than that of the root are replaced by others, the same on every node. All times are those of the
// first lookup, so access times stand still.
//
// An absolute symbolic link may be shown with the mount point before it ([Options.Links]), in lstat's
// st_size as in readlink. Whoever copies it (cp -a, tar, rsync) copies that, and git takes a tracked
// one for changed.
//
// Locks, and what inotify tells, are of this node. Hard links have one inode number, but are two
// files to locks and inotify. FIFOs connect processes of this node; devices do not open (nodev) and
// programs run as who starts them (nosuid).
//
// There are no extended attributes (EOPNOTSUPP). What an access control list grants to the user beyond
// the mode shows in the mode. Holes read as zeros and are taken for data by SEEK_DATA. A path has at most
// 4,095 bytes in the view, too, however it is walked:
// names further down are ENAMETOOLONG. A directory that changes while it is read, and that a great
// many others are read beside, may end a stream with ESTALE, never with a name twice or left out.
//
// # Kernels
//
// What a kernel lacks of [Mount.Kernel]'s features costs requests and changes no answer.
//
// # Requests
//
// A request ends for one of four reasons: its answer came, its deadline passed (ETIMEDOUT), a signal is
// about to end its caller (EINTR), or the connection is gone. Other signals wait for the answer, as on
// a disk: nobody meets EINTR, and a program that catches SIGINT is interrupted when the answer comes.
// [Options.Deadline] is no judgement of the Source, which knows better who is dead and asks somebody
// else; it only bounds what nobody can wait for any longer. So a stall of the parallel file system is
// waited for as long as it lasts, up to the deadline, ten minutes by default; what ended with
// ETIMEDOUT is remembered nowhere, and who asks again waits again.
//
// The end of the process closes the connection, and the kernel then fails every request to it, sent or
// not, so nobody is left waiting; the dead mount stays and answers ENOTCONN until the next one replaces
// it ([Options.Replace]).
//
// # Locks
//
// The kernel sends LOOKUP and READDIR with the directory locked and READ with pages locked, and
// takes the same locks for a notification. So no handler ever waits for a notification without a
// bound, and no lock of this package is held while one is sent. The locks of the package (node
// table, snapshots, notifier, request) are leaves: none is taken under another.
//
// The package never uses the mount that it serves, knows nothing of the network, and does not
// decide what may be seen: the Source does.
package fuse
