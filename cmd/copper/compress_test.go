package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
)

// TestCompressChoices: what the option accepts is what the overlay knows.
func TestCompressChoices(t *testing.T) {
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		for _, flag := range node.Flags {
			if flag.Name == "compress" && !slices.Equal(strings.Split(flag.Enum, ","), overlay.CompressionModes) {
				t.Errorf("copper %s --compress takes %q, the overlay %q", node.Name, flag.Enum, overlay.CompressionModes)
			}
		}
	}
}

// TestCompressedJob: a file comes through the mount as it is, while it is kept compressed, and the
// status says so.
func TestCompressedJob(t *testing.T) {
	p := newPlace(t)
	var content bytes.Buffer
	for i := 0; content.Len() < 3*store.ChunkSize+5; i++ {
		fmt.Fprintf(&content, "def function_%d(self): return %d\n", i, i*i)
	}
	if err := os.WriteFile(filepath.Join(p.target, "module.py"), content.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	p.launch("--compress", "zstd", "--memory", "64MiB")
	for range 2 {
		if got, err := p.read("module.py"); got != content.String() {
			t.Errorf("it comes different: %d bytes, %v", len(got), err)
		}
	}
	c := p.status().Nodes[0].Compression
	if c.Mode != "zstd" || c.Decision != "zstd" || c.Tried != 3 || c.Skipped != 0 || c.Ratio < 2 || c.Decoded != 3 {
		t.Errorf("%+v", c)
	}
	if text := p.must("status"); !strings.Contains(text, "  compression  zstd\n  compressed   3.0 MiB to ") {
		t.Errorf("the status lacks it:\n%s", text)
	}
	p.must("stop")
	p.nothingLeft()
}
