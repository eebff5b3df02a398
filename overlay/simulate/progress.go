package simulate

import (
	"fmt"
	"io"
	"sync"
)

// ShowProgress is a [Progress] that writes to out: on a terminal one line that changes, else a line for
// each tenth of a row.
func ShowProgress(out io.Writer, terminal bool) Progress {
	var mu sync.Mutex
	var nodes int
	shown := int64(-1)
	return func(n int, method Method, done, of int64) {
		mu.Lock()
		defer mu.Unlock()
		parts := int64(10)
		if terminal {
			parts = 100
		}
		part := done * parts / max(of, 1)
		if n == nodes && part <= shown {
			return
		}
		nodes, shown = n, part
		line := fmt.Sprintf("%d nodes (%s): %d%%", n, method, part*100/parts)
		switch {
		case !terminal:
			fmt.Fprintln(out, line)
		case done == of:
			fmt.Fprint(out, "\r\x1b[K")
		default:
			fmt.Fprintf(out, "\r\x1b[K%s", line)
		}
	}
}
