// Package fabric carries connections over libfabric: over CXI, the protocol of the Slingshot network
// itself, and over libfabric's own TCP providers, which are there for tests: they do what CXI does, more slowly than
// TCP does it.
//
// A [Transport] opens endpoints of libfabric (fi_ep, reliable datagrams) and makes connections of messages between
// them, which are [net.Conn]s like any other: streams of bytes with deadlines, of which the package knows nothing more.
// Who is at the other end is for those to prove who use them.
//
//	Write ─ window ─ packet ─ peer's queue ─ fi_tsend ════ fi_trecv ─ endpoint ─ connection ─ inbox ─ Read
//
// All messages are tagged. A message's tag is the receiver's number of the connection, which the receiver has drawn at
// random when the connection began (message.go). A dialler sends one that asks, with its number and its address; the
// answer has the other's number. Messages count up in both directions, so that one that is lost or comes twice breaks
// the connection and is never taken for data. A message for a connection that is not there, maybe of a process that
// was at this address before, is answered by a reset.
//
// The data that a connection's peer may send before it is read has a bound, its window, which grows where reading is
// quick (conn.go). Whatever comes is copied out of its place at once, and the place is ready to receive again: so a
// connection that nobody reads holds up its peer and nobody else. What the peers of an endpoint may have of it is
// bounded whatever they send: connections, bytes not read, packets under way to those who take nothing (arena.go).
//
// The messages are in one piece of memory for each endpoint, which libfabric may register with the device. Data is
// copied once on its way out, and twice on its way in. Large pieces could be read from memory to memory instead
// (FI_RMA): the piece where it is would be registered, a message would say where, and its answer that it was read; that
// would be another kind of message beside kindData.
//
// Libfabric is loaded when it is first used (dlopen), and nothing is linked, so that one program is for hosts with it
// and without. The part in C (shim.c) is what only C can do: libfabric's calls are inline functions over tables. Where
// the program was made without libfabric's headers, or without the build tag "libfabric", all fails with [ErrNotBuilt].
package fabric
