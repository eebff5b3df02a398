package launch

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Size is a number of bytes, written 64MiB, 1.5G or 1048576. K, M, G and T are powers of 1024.
type Size int64

var sizeForm = regexp.MustCompile(`(?i)^([0-9]+(?:\.[0-9]+)?) ?(?:([KMGT])i?)?B?$`)

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	parts := sizeForm.FindStringSubmatch(strings.TrimSpace(string(text)))
	if parts == nil {
		return fmt.Errorf("%q is not a size such as 64MiB", text)
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	if parts[2] != "" {
		n *= math.Pow(1024, float64(1+strings.Index("KMGT", strings.ToUpper(parts[2]))))
	}
	if err != nil || n >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", text)
	}
	*s = Size(n)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the size in bytes.
func (s Size) String() string { return strconv.FormatInt(int64(s), 10) }

// Bytes writes n bytes for people.
func Bytes(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n) / 1024
	i := 0
	for ; v >= 1023.95 && i < len(units)-1; i++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
