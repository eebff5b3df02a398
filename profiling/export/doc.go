// Package export hands what a job counts to Prometheus: at an address that it scrapes, and in a file that
// node_exporter's textfile collector reads.
//
// Both hold the sums of all nodes, which cost one control request over the tree, and what the own node counted. They
// hold numbers, host names and the job's id, never paths. Nothing is asked of anybody unless Prometheus asks, or
// the file is due.
package export
