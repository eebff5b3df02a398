package launch

import "testing"

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
