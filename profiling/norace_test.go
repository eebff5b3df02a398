//go:build !race

package profiling

// aurora is the number of nodes of the largest machine.
const aurora = 10_624
