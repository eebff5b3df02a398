package store

import (
	"path"
	"strings"
)

// LinkInView tells where in the view an absolute symbolic link leads: target's path there, where it
// lies on the file system that link, a path of the view, is on itself. A target elsewhere, on another
// file system or outside what the view shows, is not the view's to hold.
//
// The mount table answers, and the letters of target; the PFS is not asked. A target that leads
// through another link to another file system is therefore taken for what it looks like.
func (o *Origin) LinkInView(link, target string) (string, bool) {
	in, ok := o.below(target)
	if !ok || climbs(in) {
		return "", false
	}
	here, there := o.mounts.at(link), o.mounts.at(path.Clean(in))
	return in, here.id == there.id && there.served()
}

// below is what follows the name of the directory that the view shows, as it was given or as it is
// without symbolic links; at least "/".
func (o *Origin) below(target string) (string, bool) {
	for _, dir := range []string{o.target, o.given} {
		if dir == "/" {
			return target, strings.HasPrefix(target, "/")
		}
		if target == dir {
			return "/", true
		}
		if rest, ok := strings.CutPrefix(target, dir); ok && rest[0] == '/' {
			return rest, true
		}
	}
	return "", false
}

// climbs tells whether a path says ".." where nothing is left to go up from: the kernel stays at the
// root then, but would not stay in a mount.
func climbs(path string) bool {
	depth := 0
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}
