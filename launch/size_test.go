package launch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1048576": 1 << 20, "64MiB": 64 << 20, "64M": 64 << 20, "64MB": 64 << 20, "1.5G": 3 << 29, "2 KiB": 2048,
		"16gib": 16 << 30, "1T": 1 << 40, "7B": 7,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v; want %d", text, s, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: printed as %s, read as %d", text, s, again)
		}
	}
	for _, text := range []string{"", "M", "-1", "1X", "1MM", "nan", "inf", "1e30", "9999999T", "1M2"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %d, want an error", text, s)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 64 << 20: "64.0 MiB", 5 << 50: "5120.0 TiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		memory, limit int64
		sharers       int
		want          int64
	}{
		{512 << 30, 0, 1, 16 << 30},      // never more
		{64 << 30, 0, 1, 8 << 30},        // an eighth
		{64 << 30, 16 << 30, 1, 2 << 30}, // of what the control group may use
		{16 << 30, 64 << 30, 1, 2 << 30}, // which may be more than there is
		{64 << 30, 0, 4, 2 << 30},        // shared by the daemons of the host
		{1 << 30, 0, 8, 256 << 20},       // never less
		{0, 0, 0, 256 << 20},             // unknown
	} {
		if got := share(c.memory, c.limit, c.sharers); got != c.want {
			t.Errorf("%d bytes, limit %d, %d daemons: %d, want %d", c.memory, c.limit, c.sharers, got, c.want)
		}
	}
	if got := DefaultMemory(1); got < leastMemory || got > mostMemory {
		t.Errorf("on this host: %d", got)
	}
}

func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		self  string
		files map[string]string
		want  int64
	}{
		"version 2":         {"0::/job/step\n", map[string]string{"job/step/memory.max": "max\n", "job/memory.max": "1000\n"}, 1000},
		"the smallest":      {"0::/job/step\n", map[string]string{"job/step/memory.max": "500\n", "job/memory.max": "1000\n"}, 500},
		"version 1":         {"3:cpu:/job\n4:memory:/job\n", map[string]string{"memory/job/memory.limit_in_bytes": "700\n"}, 700},
		"version 1 without": {"4:memory:/job\n", map[string]string{"memory/job/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"none":              {"", nil, 0},
	} {
		root := t.TempDir()
		self := filepath.Join(root, "self")
		if err := os.WriteFile(self, []byte(c.self), 0o600); err != nil {
			t.Fatal(err)
		}
		for path, content := range c.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := cgroupLimit(self, root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
