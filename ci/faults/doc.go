// Package faults breaks nodes of a running job in the ways in which nodes break, and mends them
// again. It acts on processes and networks and knows nothing of what the daemons do.
//
// A node that has a host of its own ([nodes.Host]) can be broken in every way; of nodes that share
// this machine's network only the processes can.
package faults
