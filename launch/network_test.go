package launch

import "testing"

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"tcp": "tcp://", "tcp://eth0": "tcp://eth0", "tcp://10.0.0.1:7000": "tcp://10.0.0.1:7000", // no hsnN here
		"ofi+tcp": "ofi+tcp://", "ofi+net://": "ofi+net://", "ofi+tcp://lo": "ofi+tcp://lo",
	} {
		n, err := parseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := n.endpoints(); len(got) != 1 || got[0] != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}
