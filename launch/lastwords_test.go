package launch

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	var passed bytes.Buffer
	w := &lastWords{to: &passed}
	var all strings.Builder
	for i := range 5000 {
		line := fmt.Sprintf("line %d\n", i)
		all.WriteString(line)
		if n, err := w.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if passed.String() != all.String() {
		t.Error("not everything was passed on")
	}
	if len(w.kept) > keptWords {
		t.Errorf("%d bytes are kept", len(w.kept))
	}
	if got := w.lines(); len(got) != toldLines || got[toldLines-1] != "line 4999" {
		t.Errorf("the last lines: %q", got)
	}
	fmt.Fprint(w, "panic: no way\n\ngoroutine 1 [running]:\n", strings.Repeat("\tat some place\n", 100))
	if got := w.lines(); len(got) != toldLines || got[0] != "panic: no way" || got[1] != "goroutine 1 [running]:" {
		t.Errorf("of a panic: %q", got)
	}
	if got := (&lastWords{to: &passed}).lines(); len(got) != 0 {
		t.Errorf("of one who said nothing: %q", got)
	}
}
