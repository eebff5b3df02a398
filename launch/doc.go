// Package launch answers for everything about a Copper job that is not the data path: the job's id
// and directory, the launcher's command line, the state file by which a job is found and its
// readiness is known, the control socket of each daemon, mount points and what a killed job left
// behind on them, the supervisor that starts a daemon again when it dies, the orderly end, and the
// checks of `copper doctor`.
//
// Where a job's daemons listen comes from a facility's address book or from each host's interfaces
// ([Addressing]); on which cores they run is for [Cores], and what a site's wrappers ask for by default is in
// [Sites].
//
// A job in files:
//
//	DIR/<job id>/job.json        state, one rank a line; written by rank 0 alone
//	DIR/<job id>/stop            empty; written by `copper stop` alone
//	DIR/<job id>/launcher.json   the launcher's process; written by `copper launch` alone
//	DIR/<job id>/logs/           launcher.log, node_file.txt, the address book with what it
//	                             comes from, one log per rank that logs ([RankLogLevel])
//
// and on each node, in a directory that only the user can enter:
//
//	/tmp/copper-<uid>/<job id>/<rank>.sock   control socket
//	/tmp/copper-<uid>/<job id>/<rank>.json   footprint: what the rank leaves if it is killed
//
// A client asks any daemon of its own node; that daemon asks the others over the overlay, which
// this package knows only as a function ([Gather]). It knows nothing of FUSE, MPI or the network,
// and it never touches a mount from the process that asks: mounts are probed by child processes
// that can be killed ([Probe]).
package launch
