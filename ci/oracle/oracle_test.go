package oracle

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOracle: a copy is equal, and every kind of difference is seen.
func TestOracle(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if err := os.Mkdir(a, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := RandomTree(a, 7); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", a, b).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	// Inode numbers and change times can't be copied; all else must be equal.
	differences, compared, err := Compare(b, a)
	if err != nil || compared < 200 {
		t.Fatalf("%d compared: %v", compared, err)
	}
	for _, d := range differences {
		if !strings.Contains(d, ": lstat: {") {
			t.Error(d)
		}
	}
	same, _, err := Compare(a, a)
	if err != nil || len(same) > 0 {
		t.Errorf("a tree differs from itself: %v %v", same, err)
	}

	var file, link string
	err = filepath.WalkDir(b, func(p string, d os.DirEntry, err error) error {
		if info, e := d.Info(); e == nil && info.Mode().IsRegular() && info.Size() > 0 {
			file = p
		} else if e == nil && info.Mode()&os.ModeSymlink != 0 {
			link = p
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[0]++
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	differences, _, err = Compare(b, a)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(differences, "\n")
	for _, want := range []string{": read: ", ": pread at ", ": mmap differs", ": readdir: ", ": lstat: no such file"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q was not seen", want)
		}
	}
}

// TestMappedBeyondTheEnd: a file that is shorter than the one behind the mount is a difference, no
// crash.
func TestMappedBeyondTheEnd(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := sameMapped(f, make([]byte, 10_000)); err == nil {
		t.Error("an empty file has 10,000 bytes")
	}
}
