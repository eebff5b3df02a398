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
// Everything the Store keeps is charged to one [Memory], a byte budget that evicts and never
// grows. File data lives in Chunks outside the Go heap.
//
// The package knows nothing of FUSE, of the network or of MPI.
package store
