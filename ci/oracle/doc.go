// Package oracle compares what a mount shows with the directory behind it, by system calls
// alone: names, types, modes, owners, sizes, times, link targets, content by read, pread and mmap,
// and the errno of what is not there. It shares no code with what it judges.
//
// It must not run in the process that serves the mount: touching one's own mount by mmap can hang.
package oracle
