package nodes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const frontHost = "ctl"

func hostName(i int) string { return fmt.Sprint("n", i) }

// address is host i's at interface k; networks are apart, so all use the same.
func address(k, i int) string { return fmt.Sprintf("10.%d.0.%d", 77+k, i) }

func frontAddress(k int) string { return address(k, 254) }

func hostsFile(dir string) string { return filepath.Join(dir, "hosts") }

func writeHostsFile(p plan) error {
	var text strings.Builder
	fmt.Fprintf(&text, "127.0.0.1 localhost\n%s %s\n", frontAddress(0), frontHost)
	for i := 1; i <= p.Hosts; i++ {
		fmt.Fprintf(&text, "%s %s\n", address(0, i), hostName(i))
	}
	return os.WriteFile(hostsFile(p.Dir), []byte(text.String()), 0o644)
}
