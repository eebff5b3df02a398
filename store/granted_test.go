package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// acl is a POSIX access control list as the kernel keeps it: the mode's, and one user's rights.
func acl(mode, user, rights uint32) []byte {
	list := binary.LittleEndian.AppendUint32(nil, 2)
	for _, entry := range []struct {
		tag        uint16
		rights, id uint32
	}{
		{0x01, mode >> 6, ^uint32(0)}, // the owner
		{0x02, rights, user},
		{0x04, mode >> 3 & 7, ^uint32(0)}, // the owning group
		{0x10, 7, ^uint32(0)},             // mask
		{0x20, mode & 7, ^uint32(0)},
	} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, uint16(entry.rights&7))
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	return list
}

// TestAccessControlLists: what only a list grants to this user shows in the mode, and nothing else does.
func TestAccessControlLists(t *testing.T) {
	if dir := os.Getenv("COPPER_TEST_LISTS"); dir != "" { // as nobody
		m, err := NewMemory(MinMemory)
		if err != nil {
			t.Fatal(err)
		}
		o, err := NewOrigin(dir, m, OriginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/file", "/program", "/dir", "/private", "/open"} {
			a, err := o.Stat(t.Context(), path, Version{})
			fmt.Printf("%s %o %v\n", path, a.Mode&0o7777, err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("giving files to others takes root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "copper-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, f := range []struct {
		name         string
		mode, rights uint32
	}{{"file", 0o600, 4}, {"program", 0o700, 5}, {"dir", 0o700, 5}, {"private", 0o600, 0}, {"open", 0o644, 0}} {
		path := filepath.Join(dir, f.name)
		if f.name == "dir" {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, os.FileMode(f.mode)); err != nil {
			t.Fatal(err)
		}
		if f.rights == 0 {
			continue
		}
		if err := unix.Setxattr(path, "system.posix_acl_access", acl(f.mode, nobody, f.rights), 0); err != nil {
			t.Skipf("no access control lists in %s: %v", dir, err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestAccessControlLists$")
	cmd.Env = append(os.Environ(), "COPPER_TEST_LISTS="+dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The group's bits of a file with a list are the list's mask.
	for _, want := range []string{"/file 674 <nil>", "/program 775 <nil>", "/dir 775 <nil>", "/private 600 <nil>", "/open 644 <nil>"} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("want %s in\n%s", want, out)
		}
	}
}
