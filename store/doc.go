// Package store holds Copper's one idea, the [Source], and the two ends of it that need no
// network: the [Origin], which answers from the parallel file system (PFS), and the [Store],
// which answers from memory and asks another Source when it cannot.
//
// A node is one Store in front of one router; the kernel asks that Store through FUSE and the
// children in the trees ask the very same Store through the network:
//
//	kernel ─ fuse ─┐                        ┌─ overlay ─ parent's store ─ …
//	               ├─ store ─ router ───────┤
//	children ──────┘                        └─ origin ─ PFS
//
// Where links are slow, a [Compress] in front of the origin encodes the chunks that shrink; stores
// keep them and nodes send them like that, until an [Expand] decodes them for the kernel.
//
// # Files that change
//
// A file is read at the [Version] that a Stat saw. Each chunk is read between two looks at the file
// that show that version, wherever in the job that happens, and not before the tick of the PFS's clock in
// which the version came to be is over: so what was written twice within a tick, at the same size, is
// only seen as it was in the end. A reader gets one version whole, or ESTALE for the part that nobody
// has read yet; whoever looks the name up again gets the new version. What is not seen: a change
// that leaves size, mtime and ctime as they were, as a mapping that is written to for longer than a tick
// can, or a clock that is set back. For that, as for changes of what is in memory already, there is
// [Store.Forget] (and Hold, where there are several nodes).
//
// A directory that changes while it is read is read again; one that had changed shortly before is not
// trusted to show its next change in its version, and is read again when its lease is over. Leases travel
// as what is left of them, so that a new name appears everywhere one lifetime after it was found
// missing, however many nodes are between.
//
// # Errors
//
// The errno of the PFS is the answer, and nothing but ENOENT and ENOTDIR is kept, for their lifetime. An
// ESTALE is tried once more, by name; what a kept descriptor meets is tried with a new one. ESTALE also
// stands for a symbolic link where the caller knew a directory, so that its kernel walks the way anew; a
// Store then asks again for what it knew of that way.
//
// Everything the Store keeps is charged to one [Memory], a byte budget that evicts and never
// grows. File data lives in Chunks outside the Go heap.
//
// The package knows nothing of FUSE, of the network or of MPI.
package store
