// Package nodes makes several "hosts" of one machine: n1, n2, … and a front-end, ctl, where
// launchers run. Each has a network, host name, mounts, IPC and process ids of its own, and so its
// own /tmp, /dev/shm and /etc/hosts; they share the machine's kernel and all other directories, as
// nodes share a file system. Nothing is changed in the machine's own namespaces, so several
// networks can exist side by side.
//
//	test process ── ctl (process 1 of a pid namespace; its network namespace is the switch)
//	                 ├─ n1 (process 1 of a pid namespace below)   eth0 ── bridge eth0 in ctl
//	                 ├─ n2                                        eth0 ──┘
//	                 └─ …
//
// All hosts' processes are in pid namespaces below ctl's, and ctl's first process ends when the test
// process does, however that ends: the kernel then kills everything, and takes away what was mounted
// and connected.
//
// The first processes of hosts are the importing program itself, started again under another name;
// it must be root's. [Check] tells whether a machine can do it.
//
// What a host does not have: its own clock, memory, cores and devices. A crash ([Host.Crash]) is seen by
// others as silence; bandwidth can be bounded where the kernel has sch_tbf, delay only where it has
// sch_netem ([Host.Slow]).
package nodes
