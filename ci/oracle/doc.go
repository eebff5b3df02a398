// Package oracle compares what a mount shows with the directory behind it, by system calls
// alone: names, types, modes, owners, sizes, times, link targets, content by read, pread and mmap,
// and the errno of what is not there. It shares no code with what it judges.
//
// For a tree that changes while it is read, [History] knows what each file has been ([Content]) and
// judges single reads.
//
// It must not run in the process that serves the mount: touching one's own mount by mmap can hang.
package oracle
