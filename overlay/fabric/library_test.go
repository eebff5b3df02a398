package fabric

import (
	"strings"
	"testing"
)

// TestSignalsAreGos: what libfabric loads takes none of Go's signals over. (Debian's, with psm2, would.)
func TestSignalsAreGos(t *testing.T) {
	needLibrary(t)
	defer func() {
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "nil pointer") {
			t.Errorf("a nil pointer: %v", err)
		}
	}()
	var nothing *Info
	t.Log(nothing.Path)
}

// TestLibrary is what copper doctor shows.
func TestLibrary(t *testing.T) {
	needLibrary(t)
	info, err := Library()
	if err != nil || !strings.Contains(info.Version, ".") || !strings.HasPrefix(info.Path, "/") {
		t.Errorf("%+v, %v", info, err)
	}
}
