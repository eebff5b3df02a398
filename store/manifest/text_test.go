package manifest

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var sample = []Access{
	{Op: Stat, Path: "/", Kind: Dir},
	{Op: List, Path: "/lus/env", Kind: Dir, Names: 3},
	{Op: Stat, Path: "/lus/env/x.py", Kind: File, Size: 1834},
	{Op: Stat, Path: "/lus/env/y.py", Kind: File, Size: 1, Mtime: 1763731200123456789},
	{Op: Stat, Path: "/lus/env/x.so", Kind: Absent},
	{Op: Stat, Path: "/lus/env/fifo", Kind: Other},
	{Op: Stat, Path: "/lus/env/lib", Kind: Link},
	{Op: ReadLink, Path: "/lus/env/lib", Kind: Link},
	{Op: ReadData, Path: "/lus/env/x.py", Kind: File, Size: 1834, From: 5, To: 1834},
	{Op: Stat, Path: "/a b/\"q\"/\n\xff/ü", Kind: Dir},
}

func TestWriteAndRead(t *testing.T) {
	var text bytes.Buffer
	if err := Write(&text, sample); err != nil {
		t.Fatal(err)
	}
	plain := text.String()
	got, err := Read(&text, "x")
	if err != nil || !slices.Equal(got, sample) {
		t.Errorf("read back %v, %v\nof %s", got, err, plain)
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write([]byte(plain))
	_ = zip.Close()
	name := filepath.Join(t.TempDir(), "m.gz")
	if err := os.WriteFile(name, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err = Open(name); err != nil || !slices.Equal(got, sample) {
		t.Errorf("read back from gzip: %v, %v", got, err)
	}
}

func TestAnyAccessComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, -1).Filter(func(s string) bool { return (Access{Op: Stat, Path: "/" + s}).check() == nil })
		a := Access{Op: rapid.SampledFrom([]Op{Stat, List, ReadLink, ReadData}).Draw(t, "op"), Path: "/" + name.Draw(t, "name")}
		switch a.Op {
		case Stat:
			a.Kind = rapid.SampledFrom([]Kind{Absent, File, Dir, Link, Other}).Draw(t, "kind")
		case List:
			a.Kind, a.Names = Dir, rapid.IntRange(0, maxNames).Draw(t, "names")
		case ReadLink:
			a.Kind = Link
		case ReadData:
			a.Kind = File
			a.Size = rapid.Int64Range(1, maxSize).Draw(t, "size")
			a.From = rapid.Int64Range(0, a.Size-1).Draw(t, "from")
			a.To = rapid.Int64Range(a.From+1, a.Size).Draw(t, "to")
		}
		if a.Kind == File && a.Op == Stat {
			a.Size = rapid.Int64Range(0, maxSize).Draw(t, "size")
			a.Mtime = rapid.Int64().Draw(t, "mtime")
		}
		got, err := parse(a.String())
		if err != nil || got != a {
			t.Fatalf("%v comes back as %v, %v", a, got, err)
		}
	})
}

func TestReadSaysWhereItFails(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                   `m:1: want "copper-manifest 1"`,
		"copper-manifest 2\n":                                `m:1: want "copper-manifest 1"`,
		"stat / dir\n":                                       `m:1: want "copper-manifest 1"`,
		heading + "\nopen /a\n":                              `m:2: "open": want stat, list, readlink or read`,
		heading + "\n\n# x\nstat a":                          `m:4: `,
		heading + "\nstat /a":                                `m:2: want absent, file, dir, link or other after the path`,
		heading + "\nstat /a tree":                           `m:2: "tree": want absent`,
		heading + "\nstat /a/ dir":                           `m:2: "/a/" is not an absolute, cleaned path`,
		heading + "\nstat \"/a dir":                          `m:2: "/a dir: a quoted path that doesn't end`,
		heading + "\nstat /a file":                           `m:2: want size=NUMBER`,
		heading + "\nstat /a file size=x":                    `m:2: "size=x": want size=NUMBER`,
		heading + "\nstat /a file size=-1":                   `m:2: size=-1: want 0 to 2^60`,
		heading + "\nstat /a dir size=1":                     `m:2: "size=1": nothing is wanted there`,
		heading + "\nlist /a names=99999999999":              `m:2: names=99999999999: want 0 to 2^30`,
		heading + "\nread /a size=5 from=2 to=6":             `m:2: from=2 to=6: want a range within the file's 5 bytes`,
		heading + "\nread /a size=5 from=2 to=2":             `m:2: from=2 to=2: want a range`,
		heading + "\n" + strings.Repeat("x", maxLine+1):      `m:2: a line of more than`,
		"\x1f\x8b not gzip":                                  `m: gzip`,
		heading + "\nread /a from=2 to=2 size=5":             `m:2: want size=NUMBER`,
		heading + "\nstat /a dir\nreadlink \"/a\x00b\" x":    `m:3: `,
		heading + "\nread /a size=99999999999999999999 to=2": `m:2: "size=99999999999999999999"`,
	} {
		if _, err := Read(strings.NewReader(text), "m"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	if _, err := Open("/nonexistent/m"); err == nil {
		t.Error("a file that isn't there is read")
	}
}

func FuzzRead(f *testing.F) {
	var text bytes.Buffer
	_ = Write(&text, sample)
	f.Add(text.Bytes())
	f.Add([]byte(heading + "\nread \"/a\\x00\" size=1 from=0 to=1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		accesses, err := Read(bytes.NewReader(text), "m")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "m:") {
				t.Errorf("an error that doesn't say where: %v", err)
			}
			return
		}
		var again bytes.Buffer
		if err := Write(&again, accesses); err != nil {
			t.Fatal(err)
		}
		back, err := Read(&again, "m")
		if err != nil || !slices.Equal(back, accesses) {
			t.Errorf("%v comes back as %v, %v", accesses, back, err)
		}
	})
}
