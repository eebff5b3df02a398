// Package trace answers for what a command asks of file systems: it runs the command under strace and
// tells each access by its absolute path. It knows nothing of routing, and needs no privilege; where
// the system forbids tracing it says so before the command is started.
package trace
