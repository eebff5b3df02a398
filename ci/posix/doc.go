// Package posix is what a program may expect of a read-only file system, as tests: it looks at a
// mount and at the directory behind it by system calls and by everyday tools, and compares.
//
// [Build] fills a directory with what is to be looked at; [Run] looks. A directory that the kernel
// mounted read-only passes, which the package's own test shows; so whoever fails differs from every
// other file system. The few things in which a FUSE mount may differ are named at the test that
// allows for them.
//
// Like the oracle, it shares no code with what it judges, and must not run in the process that
// serves the mount.
package posix
