package launch

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// CheckFusermount looks at the helper that mounts for ordinary users; path is where it was found, unless
// err tells that it was not.
func (d Doctor) CheckFusermount(path string, err error) []Finding {
	switch {
	case d.Root && err != nil:
		return []Finding{fine("there is none; root mounts without it")}
	case d.Root:
		return []Finding{fine("%s; root mounts without it", path)}
	case err != nil:
		return []Finding{problem("ask for the package fuse3, or put the directory of fusermount3 into PATH", "%v", err)}
	}
	const ask = "ask the administrators: chown root %[1]s; chmod 4755 %[1]s"
	info, err := os.Stat(path)
	if err != nil {
		return []Finding{problem(strings.ReplaceAll(ask, "%[1]s", path), "%v", err)}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	_, uncapable := unix.Lgetxattr(path, "security.capability", nil)
	if setuid := ok && st.Uid == 0 && info.Mode()&os.ModeSetuid != 0; !setuid && uncapable != nil {
		return []Finding{problem(strings.ReplaceAll(ask, "%[1]s", path), "%s is not setuid root (%s), so it may not mount", path, info.Mode())}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil && fs.Flags&unix.ST_NOSUID != 0 {
		return []Finding{problem("use one on a file system that is not mounted nosuid", "%s lies on a file system mounted nosuid, so it may not mount", path)}
	}
	if flag, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && flag == 1 {
		return []Finding{problem("start copper outside of this container or sandbox", "this process may gain no privileges (no_new_privs), so %s may not mount", path)}
	}
	return []Finding{fine("%s is setuid root", path)}
}

// CheckTrial judges a trial mount: what it told of the kernel, or why it failed.
func (d Doctor) CheckTrial(k KernelStatus, failed error) []Finding {
	switch {
	case failed == nil:
	case errors.Is(failed, os.ErrDeadlineExceeded):
		return []Finding{problem("look for hung FUSE processes; if there are none the node needs its administrators", "Linux %s: a trial mount did not answer in time", k.Release)}
	default:
		return []Finding{problem("mend what the message names; within a container FUSE may be forbidden", "Linux %s: a trial mount failed: %v", k.Release, failed)}
	}
	found := fine("Linux %s, FUSE %s; a trial mount works: READs of up to %s, readahead of %s", k.Release, k.Protocol, Bytes(int64(k.Request)), Bytes(int64(k.Readahead)))
	if len(k.Features) == 0 {
		found = fine("Linux %s; a trial mount works", k.Release)
	}
	return append([]Finding{found}, lacking("this kernel", k)...)
}

// lacking are the features that the kernel named whose lacks.
func lacking(whose string, k KernelStatus) (findings []Finding) {
	for _, f := range k.missing() {
		findings = append(findings, warning("nothing is wrong, but some things are slower; a later Linux has it",
			"%s lacks %s: %s", whose, f.Name, f.Without))
	}
	return findings
}
