//go:build race

package profiling

// aurora is less: the detector makes everything slow.
const aurora = 300
