// Package mpiboot answers, once and at the start of a job step: who am I, who is there, and what
// is the secret that only we share? The answer is a [Roster], the same on every rank.
//
//	boot, err := mpiboot.Start()              // MPI_Init, if a launcher started us
//	roster, err := boot.Exchange(card)        // one allgather: everybody's card, rank 0's secret
//	…listen, mount…
//	err = boot.Ready(mountError)              // everybody learns who failed; MPI is finalized
//
// MPI is used for these three calls and for nothing else: it is finalized inside Ready, and that
// is what lets the other ranks live on when one of them dies later.
//
// A rank that cannot go on calls Ready with its error, whatever it has done so far: every rank
// then gets the same error, which names the host and the rank, out of the call it is in. An error
// of Start, Exchange or Ready ends the bootstrap; what is left to do is to clean up and to exit
// with a code other than zero.
//
// Without a launcher, or in a step of one process, MPI is not even initialized: the roster is the
// process itself. A program built without the tag mpi (or without cgo) can do only that, and
// refuses to start as one of several.
//
// All MPI happens on the main thread (MPI_THREAD_FUNNELED): with MPI built in, Start, Exchange,
// Ready and Abort must be called from the main goroutine, which an init function of this package
// locks to the main thread until Ready has finalized MPI. No call waits without a bound: see
// [Bound], and while ranks wait for slower ones they leave the cores to them. SIGTERM, SIGINT and
// SIGHUP that arrive while a call waits for other ranks end the process. The signal handlers and the
// close-on-exec flags that an MPI library disturbs are put right again after every call into it;
// call signal.Notify and signal.Ignore outside of Start, Exchange and Ready, not from another
// goroutine during them.
//
// The secret travels with the allgather and lies in the Roster; this package never prints it nor
// puts it into an environment, an argument or a file.
package mpiboot
