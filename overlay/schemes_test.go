package overlay

import (
	"strings"
	"testing"
)

func TestSchemes(t *testing.T) {
	both := Schemes{"tcp": TCP{}, "mem": NewVirtual()}
	for _, endpoint := range []string{"tcp://127.0.0.1", "mem://"} {
		ln, err := both.Listen(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := both.Dial(t.Context(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Close(), ln.Close()
	}
	for _, endpoint := range []string{"", "ofi+cxi://0x00916600"} {
		_, errL := both.Listen(endpoint)
		_, errD := both.Dial(t.Context(), endpoint)
		for _, err := range []error{errL, errD} {
			if err == nil || !strings.Contains(err.Error(), "mem, tcp") || !strings.Contains(err.Error(), endpoint) {
				t.Errorf("%q: %v", endpoint, err)
			}
		}
	}
}
