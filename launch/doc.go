// Package launch answers for everything about a Copper job that is not the data path: the job's id
// and directory, the hosts that a scheduler gave it, the launcher's command line, the state file by which a job is found and its
// readiness is known, the control socket of each daemon, mount points and what a killed job left
// behind on them, the supervisor that starts a daemon again when it dies, the orderly end, and the
// checks of `copper doctor`.
//
// Where a job's daemons listen comes from a facility's address book or from each host's interfaces
// ([Addressing]), and over what from what each host has ([Fabric], [Meet]); on which cores they run is for [Cores], and what a site's wrappers ask for by default is in
// [Sites].
//
// A job in files:
//
//	DIR/<job id>/job.json        state, one rank a line; written by rank 0 alone
//	DIR/<job id>/stop            empty; written by `copper stop` alone
//	DIR/<job id>/launcher.json   the launcher's process; written by `copper launch` alone
//	DIR/<job id>/logs/           launcher.log, node_file.txt, the address book with what it
//	                             comes from, one log per rank that logs ([RankLogLevel]);
//	                             hosts.txt where they are too many for a command line
//
// and on each node, in a directory that only the user can enter:
//
//	/tmp/copper-<uid>/<job id>/<rank>.sock   control socket
//	/tmp/copper-<uid>/<job id>/<rank>.json   footprint: what the rank leaves if it is killed
//
// A supervisor starts its daemon again when it dies, or kills it first when it gives no sign of life
// ([DefaultHung]); a PFS or a peer that does not answer is no reason. While there is no daemon its mount
// is an error to those who look (ENOTCONN), until the next daemon's mount replaces it. Where that can't
// be done in one step, the directory beneath shows for some milliseconds; it is shut then (ELOOP, see
// [Shut]): nobody is told that a file that exists does not.
//
// A client asks any daemon of its own node; that daemon asks the others over the overlay, which
// this package knows only as a function ([Gather]); their answers are summed up on the way ([NewSum],
// [Summary]). Hosts whose daemons do not answer are swept by a step of their own ([Others]). It knows nothing
// of FUSE, MPI, libfabric or the network, and it never touches a mount from the process that asks: mounts
// are probed by child processes that can be killed ([Probe]).
package launch
