// Package slurm brings up a Slurm cluster on the hosts of a [nodes.Network]: slurmctld and munged on
// the front-end, a slurmd on each host. It is Debian's (apt-get install slurm-wlm
// slurm-wlm-basic-plugins munge), run in the foreground by root, without systemd, accounting or
// control groups; [Check] tells whether it is installed.
//
// What a site's Slurm has and this one has not: limits on memory and cores of a step (there is no
// cgroup plugin), prologue and epilogue scripts, other users than those of this machine.
package slurm
