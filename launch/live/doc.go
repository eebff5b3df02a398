// Package live shows what a job is doing while it runs: on a terminal a view that is redrawn in place, elsewhere a
// line for each look, for programs a JSON object a line.
//
// It only shows what a [launch.Status] says. It asks nobody itself and changes nothing; when it ends, by a signal or
// with the job, the terminal is as it was.
package live
