// Package manifest is the record of what an application asks of a file system, in the order in which
// it asks: an [Access] each. A [Recorder] makes it, [Write] and [Read] keep it in a text file, and
// a [Replay] asks a [store.Source] the same, before the next run of the application does.
//
// The file has one access per line, which a person can read and edit:
//
//	copper-manifest 1
//	# Python's search for a package, and its first file
//	stat /lus/env/lib dir
//	list /lus/env/lib names=3
//	stat /lus/env/lib/x.py file size=1834 mtime=1763731200000000000
//	stat /lus/env/lib/x.so absent
//	stat /lus/env/lib/libx.so link
//	readlink /lus/env/lib/libx.so
//	read /lus/env/lib/x.py size=1834 from=0 to=1834
//
// The time at which a file was modified, in nanoseconds since 1970, may be left out. A path with blanks, quotes or bytes that aren't printable is quoted as a Go string.
package manifest
