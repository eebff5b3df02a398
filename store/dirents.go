package store

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// readEntries reads a directory with getdents64(2), which unlike os.ReadDir tells the inode
// numbers without a stat of each entry.
func readEntries(fd int) ([]Entry, error) {
	var entries []Entry
	buf := make([]byte, 256<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return entries, nil
		}
		entries = appendEntries(entries, buf[:n])
	}
}

// appendEntries decodes struct linux_dirent64: ino u64, off i64, reclen u16, type u8, name\0.
func appendEntries(entries []Entry, buf []byte) []Entry {
	for len(buf) > 19 {
		reclen := int(binary.NativeEndian.Uint16(buf[16:]))
		rec := buf[:reclen]
		buf = buf[reclen:]
		name := rec[19:]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if s := string(name); s != "." && s != ".." {
			entries = append(entries, Entry{
				Name: s,
				Ino:  binary.NativeEndian.Uint64(rec),
				Type: uint32(rec[18]) << 12, // DT_* to S_IFMT
			})
		}
	}
	return entries
}
