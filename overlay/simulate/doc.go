// Package simulate predicts how long the start-up of a job takes at numbers of nodes that one does not
// have.
//
// A [Plan] says what the nodes, their network and the PFS can do; a manifest says what a process asks of
// the file system. Of that [Run] makes a row for each size of the job:
//
//   - found by the daemons' own code: the stores and overlays of all nodes in one process, over a
//     virtual network, in virtual time. That stands a few hundred nodes.
//   - found by a model: what these do as events instead of goroutines and connections, on the same
//     trees and with the same arithmetic of links and PFS. That stands ten thousand nodes and more.
//     Tests hold it against the daemons.
//
// and beside it, by arithmetic alone, what it takes without Copper.
//
// What is not simulated: the application's own work, the copying and checksumming of data, memory
// budgets that are too small, failures, and other users of the network and of the PFS.
//
// The package asks no real file system and no real network for anything.
package simulate
