// Package cluster sets up what the end-to-end tests and the demonstration need on one machine: a
// slow parallel file system with one mount per simulated node, and a Copper job with one daemon
// per node, each of which sees its own mount of that file system.
//
// It drives Copper as a user does, by the command line.
package cluster
