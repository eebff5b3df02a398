// Package advise answers for what a command's accesses mean for routing: which few prefixes hold most
// of them, which of those are worth sending through the mount and how, what would bypass Copper
// nevertheless, and what must never be routed. It is told accesses ([Tally.Add]) and looks at file
// systems only to judge what it was told, when the command has ended.
package advise
