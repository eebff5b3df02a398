// Package profiling answers what a job's nodes did: it counts, and writes what was counted where
// people and their scripts look for it.
//
// On each node a [Recorder] is told of every request that the kernel made: how often, how long, and
// whether the answer was in this node's memory. That is always on. A [Snapshot] joins it with what the
// other parts count; [Metrics] is the one table that says what is in it, from which outputs and
// documentation are made. Written is only what was asked for, into the job's directory ([Dir]). After
// the run [Aggregate] and [UsePaths] make cluster totals and lists of paths of the nodes' files, and
// [Cluster.WriteReport] a page for people, of whatever there is.
//
// What the kernel answers from its own caches reaches no daemon and is not counted; every output
// says so.
//
// The package touches neither a mount nor the parallel file system, but for the job's directory and
// the roots that [UsePaths] is told to walk.
package profiling
