package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestOpenedForItsVersion: the chunks of a version share one open file, and those of the next version, even if
// it was written into the same file, have it opened anew.
func TestOpenedForItsVersion(t *testing.T) {
	dir := t.TempDir()
	o := newOrigin(t, dir, storetest.Memory(t, store.MinMemory))
	for version := range byte(3) {
		content := bytes.Repeat([]byte{version}, 3*store.ChunkSize)
		f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		a, err := o.Stat(t.Context(), "/f", store.Version{})
		if err != nil {
			t.Fatal(err)
		}
		for index := range int64(3) {
			c, err := o.ReadChunk(t.Context(), store.File{Path: "/f", Version: a.Version()}, index)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.Bytes(), content[:store.ChunkSize]) {
				t.Errorf("chunk %d of version %d has another content", index, version)
			}
			c.Release()
		}
		if opens := o.Counts().Open; opens != int64(version)+1 {
			t.Errorf("version %d: the file has been opened %d times", version, opens)
		}
	}
}
